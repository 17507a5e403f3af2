"""Containers of samples, wrappers of models and processes, as old scripts know them.

One process trains on one device: a wrapper takes batches out of their containers, moves them and hands them on.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import default_collate

from intarsia.core.errors import IntarsiaError
from intarsia.data.collate import Unstacked
from intarsia.engine import distributed
from intarsia.engine.environment import pick_device
from intarsia.engine.strategy import DataParallel

# ---------------------------------------------------------------------- samples and batches


class DataContainer:
    """A value of a sample, and how it goes into batches.

    Args:
        data: The value.
        stack: Whether tensors are padded to one size and stacked.
        padding_value: What they are padded with.
        cpu_only: Whether it never goes to another device.
        pad_dims: How many axes, from the last one, may be padded: 1, 2, 3, or None for no padding.
    """

    def __init__(
        self, data: Any, stack: bool = False, padding_value: float = 0, cpu_only: bool = False, pad_dims: int | None = 2
    ) -> None:
        if pad_dims not in (None, 1, 2, 3):
            raise AssertionError(f'pad_dims is 1, 2, 3 or None, not {pad_dims!r}')
        self.data, self.stack, self.padding_value = data, stack, padding_value
        self.cpu_only, self.pad_dims = cpu_only, pad_dims

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.data!r})'

    @property
    def datatype(self) -> Any:
        """Type of the value: that of a tensor as a string, else the class."""
        return self.data.type() if isinstance(self.data, Tensor) else type(self.data)

    @property
    def shape(self) -> torch.Size:
        """Shape of a tensor."""
        return self._tensor('shape').shape

    def size(self, *axes: int) -> Any:
        """Size of a tensor, or of one of its axes."""
        return self._tensor('size').size(*axes)

    def dim(self) -> int:
        """Number of axes of a tensor."""
        return self._tensor('dim').dim()

    def _tensor(self, name: str) -> Tensor:
        if not isinstance(self.data, Tensor):
            raise AttributeError(f'{type(self).__name__} has no {name} for {self.datatype}')
        return self.data

    def batch_of(self, values: Sequence[Any]) -> Any:
        """Tensors stacked, if they are to be; else a list of the values."""
        if self.cpu_only or not self.stack:
            return [each.data for each in values]
        tensors = [torch.as_tensor(each.data) for each in values]
        is_even = len({each.shape for each in tensors}) == 1
        return default_collate(tensors if is_even or self.pad_dims is None else self._padded(tensors))

    def _padded(self, tensors: list[Tensor]) -> list[Tensor]:
        count = self.pad_dims or 0
        fixed = {tuple(each.shape[: each.dim() - count]) for each in tensors}
        if len(fixed) > 1 or tensors[0].dim() <= count:
            raise AssertionError(f'only the last {count} axes of {[tuple(each.shape) for each in tensors]} are padded')
        largest = torch.tensor([each.shape[-count:] for each in tensors]).amax(dim=0)
        return [F.pad(each, _after(each, largest), value=self.padding_value) for each in tensors]


def _after(tensor: Tensor, largest: Tensor) -> list[int]:
    """What :func:`torch.nn.functional.pad` takes: from the last axis on, nothing before and the rest after."""
    missing = (largest - torch.tensor(tensor.shape[-len(largest) :])).flip(0).tolist()
    return [amount for each in missing for amount in (0, each)]


def collate(batch: Sequence[Any], samples_per_gpu: int = 1) -> Any:
    """Join samples: values in containers stay in containers, with a list of one batch for each device.

    Args:
        batch: Samples, dicts as a rule; what our pipelines noted about them counts as a container.
        samples_per_gpu: Samples of one device.
    """
    if not isinstance(batch, Sequence):
        raise TypeError(f'samples to join come in a list, not as {type(batch).__name__}')
    return _join('', list(batch), samples_per_gpu)


def _join(key: str, values: list[Any], count: int) -> Any:
    values = [_contained(key, value) for value in values]
    first = values[0]
    if isinstance(first, DataContainer):
        parts = [first.batch_of(values[start : start + count]) for start in range(0, len(values), count)]
        return DataContainer(parts, first.stack, first.padding_value, first.cpu_only, first.pad_dims)
    if isinstance(first, Mapping):
        return {name: _join(name, [each[name] for each in values], count) for name in first}
    if isinstance(first, (list, tuple)):
        return [_join(key, list(version), count) for version in zip(*values, strict=True)]
    return default_collate(values)


def _contained(key: str, value: Any) -> Any:
    if isinstance(value, Unstacked):
        return DataContainer(value.value)
    return DataContainer(value, cpu_only=True) if key.endswith('_metas') and isinstance(value, Mapping) else value


def pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Samples as lists of their values, by name, nothing stacked."""
    first = data_batch[0]
    if isinstance(first, Mapping):
        return {key: pseudo_collate([each[key] for each in data_batch]) for key in first}
    if isinstance(first, tuple) and not hasattr(first, '_fields'):
        return type(first)(pseudo_collate(list(column)) for column in zip(*data_batch, strict=True))
    return list(data_batch)


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> list[Any]:
    """What each device gets of a batch, taken out of its containers.

    Args:
        inputs: The batch.
        target_gpus: Numbers of GPUs, -1 for the CPU; or devices.
        dim: Axis in which tensors are split.
    """
    devices = [_device(target) for target in target_gpus]
    return [_share(inputs, place, devices, dim) for place in range(len(devices))]


def scatter_kwargs(
    inputs: Any, kwargs: Any, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """As :func:`scatter`, for the arguments of a call."""
    return tuple(scatter(tuple(inputs), target_gpus, dim)), tuple(scatter(dict(kwargs), target_gpus, dim))


def _device(target: Any) -> torch.device:
    if isinstance(target, int):
        return torch.device('cuda', target) if target >= 0 and torch.cuda.is_available() else torch.device('cpu')
    return torch.device(target)


def _share(value: Any, place: int, devices: Sequence[torch.device], dim: int) -> Any:
    if isinstance(value, DataContainer):
        part = value.data[place] if isinstance(value.data, (list, tuple)) else value.data
        return part if value.cpu_only else _moved(part, devices[place])
    if isinstance(value, Tensor):
        part = value if len(devices) == 1 or not value.dim() else value.chunk(len(devices), dim)[place]
        return part.to(devices[place], non_blocking=True)
    if isinstance(value, Mapping):
        return {key: _share(each, place, devices, dim) for key, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_share(each, place, devices, dim) for each in value)
    return value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, (list, tuple)):
        return [_moved(each, device) for each in value]
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


# ---------------------------------------------------------------------- wrappers of models


class MMDataParallel(nn.DataParallel[Any]):
    """A model on one device, given batches in containers.

    Args:
        module: The model; it moves to the device.
        device_ids: Number of the GPU, or -1; by default the model stays where it is.
        output_device: Not used.
        dim: Axis of the samples.
    """

    def __init__(
        self, module: nn.Module, device_ids: Sequence[int] | None = None, output_device: Any = None, dim: int = 0,
    ) -> None:  # fmt: skip
        nn.Module.__init__(self)  # that of DataParallel wants to see GPUs
        ids = list(device_ids or ())
        if len(ids) > 1 and torch.cuda.is_available():
            raise IntarsiaError('one process trains on one GPU: torchrun --nproc-per-node N starts several')
        self.module = module.to(_device(ids[0])) if ids and torch.cuda.is_available() else module
        self.device_ids, self.output_device, self.dim = ids, output_device, dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """The model's answer for a batch."""
        return self._call(self.module, inputs, kwargs)

    def train_step(self, *inputs: Any, **kwargs: Any) -> Any:
        """That of the model."""
        return self._call(self.module.train_step, inputs, kwargs)

    def val_step(self, *inputs: Any, **kwargs: Any) -> Any:
        """That of the model."""
        return self._call(self.module.val_step, inputs, kwargs)

    def scatter(self, inputs: Any, kwargs: Any, device_ids: Any = None) -> tuple[Any, Any]:
        """The arguments of a call, taken out of containers and moved to the model, once for its one device."""
        return scatter_kwargs(inputs, kwargs, [device_of(self.module)], self.dim)

    def _call(self, function: Callable[..., Any], inputs: Any, kwargs: Any) -> Any:
        (own,), (named,) = self.scatter(inputs, kwargs)
        is_half = getattr(self.module, 'fp16_enabled', False)
        device_type = device_of(self.module).type
        with torch.autocast(device_type, torch.float16) if is_half else contextlib.nullcontext():
            return function(*own, **named)


class MMDistributedDataParallel(MMDataParallel):
    """A model in each of several processes, whose gradients are averaged; alone it is an :class:`MMDataParallel`.

    Args:
        module: The model.
        device_ids: Number of the GPU.
        output_device: Not used.
        dim: Axis of the samples.
        broadcast_buffers: Not used: buffers are shared before an evaluation.
        find_unused_parameters: Let parameters take no part in a loss.

    Attributes:
        strategy: What runs the steps of several processes.
    """

    def __init__(
        self, module: nn.Module, device_ids: Sequence[int] | None = None, output_device: Any = None, dim: int = 0,
        broadcast_buffers: bool = True, find_unused_parameters: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(module, device_ids, output_device, dim)
        several = distributed.num_processes() > 1
        self.strategy = DataParallel(module, 'fp32', None, find_unused_parameters) if several else None

    def train_step(self, *inputs: Any, **kwargs: Any) -> Any:
        """That of the model, with gradients that are shared."""
        if self.strategy is None:
            return super().train_step(*inputs, **kwargs)
        optimizer = kwargs.pop('optimizer', inputs[1] if len(inputs) > 1 else None)
        return self._call(self.strategy.replica, (inputs[0], optimizer), kwargs)


def is_module_wrapper(module: Any) -> bool:
    """Whether a model is in a wrapper, of PyTorch, of ours or of MODULE_WRAPPERS."""
    from intarsia.openmmlab.names import served

    found = served('mmcv.parallel', 'MODULE_WRAPPERS')
    own = tuple(found.target.module_dict.values()) if found is not None else ()
    return isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel, *own))


def unwrapped(model: Any) -> Any:
    """The model itself."""
    return model.module if is_module_wrapper(model) else model


def device_of(module: nn.Module) -> torch.device:
    """Where a model is."""
    first = next(module.parameters(), None)
    return first.device if first is not None else torch.device('cpu')


def build_dp(model: nn.Module, device: str = 'cuda', dim: int = 0, **kwargs: Any) -> MMDataParallel:
    """The model in a wrapper for one process, on a device."""
    return MMDataParallel(model.to(available_device(device)), dim=dim, **kwargs)


def build_ddp(model: nn.Module, device: str = 'cuda', **kwargs: Any) -> MMDistributedDataParallel:
    """The model in a wrapper for several processes, on a device."""
    return MMDistributedDataParallel(model.to(available_device(device)), **kwargs)


def available_device(device: str) -> torch.device:
    """A device by its name; the CPU in place of a GPU where there is none."""
    return (
        torch.device('cpu') if str(device).startswith('cuda') and not torch.cuda.is_available() else pick_device(device)
    )


# ---------------------------------------------------------------------- processes


def init_dist(launcher: Any, backend: str = 'nccl', **kwargs: Any) -> None:
    """Join the processes that a launcher started.

    Args:
        launcher: ``'pytorch'``, ``'slurm'`` or ``'none'``.
        backend: For GPUs; processes on the CPU use gloo.
        kwargs: Arguments of ``init_process_group``.

    Raises:
        ValueError: Another launcher.
    """
    if launcher not in ('none', *distributed.NAMES):
        raise ValueError(f'Invalid launcher type: {launcher}')
    world = distributed.find_world(launcher)
    device = pick_device(None, world.local_rank)
    distributed.start(world, launcher, device, {'backend': backend, **kwargs})
    atexit.register(distributed.stop)  # scripts end without leaving, and then may be aborted


def get_dist_info(group: Any = None) -> tuple[int, int]:
    """Number of this process, and how many have joined."""
    return get_rank(), distributed.num_processes()


def get_rank(group: Any = None) -> int:
    """Number of this process."""
    return torch.distributed.get_rank() if is_distributed() else 0


def get_world_size(group: Any = None) -> int:
    """How many processes have joined."""
    return distributed.num_processes()


def is_distributed() -> bool:
    """Whether this process has joined others."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def is_main_process(group: Any = None) -> bool:
    """Whether this is the first process."""
    return get_rank() == 0


def barrier(group: Any = None) -> None:
    """Wait for all processes."""
    distributed.barrier()


def master_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let only the first process call a function."""

    @functools.wraps(function)
    def only_first(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if is_main_process() else None

    return only_first
