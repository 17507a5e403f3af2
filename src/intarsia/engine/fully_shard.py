"""Several processes that hold a part of every parameter each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.distributed.tensor import empty as empty_dtensor

from intarsia.core.errors import ConfigError, Problem
from intarsia.engine.activation_checkpointing import block_names
from intarsia.engine.checkpoint import sharded
from intarsia.engine.distributed import barrier, num_processes
from intarsia.engine.precision import Precision
from intarsia.engine.strategy import Strategy, cast, share_buffers

FORWARD_METHODS = ('train_step', 'val_step', 'predict')


class FullyShard(Strategy):
    """Every process holds a part of every parameter, gradient and optimizer state, and computes a part of the batch.

    The parameters of a block of the backbone are gathered when it runs and let go afterwards
    (:func:`torch.distributed.fsdp.fully_shard`; PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel, Zhao
    et al., 2023, arXiv:2304.11277). Checkpoints are folders to which all processes write while training goes on; see
    :mod:`intarsia.engine.checkpoint.sharded`.

    Gradients are shared in every iteration, those that are added up too: a process that kept them to itself would need
    room for all of them, and they would be missing in a checkpoint.

    In ``bf16`` the parameters are gathered in bfloat16, except in models with batch norm, whose statistics need
    float32; gradients are summed in float32, and evaluation computes in bfloat16 as well.

    Args:
        model: On its device, whole. Its parameters are replaced by shards: build the optimizer afterwards.
        precision: As in :class:`Strategy`.
        compile: The same.

    Raises:
        ConfigError: ``precision`` is ``fp16``, or the model cannot be sharded.
    """

    checkpoint_suffix = ''

    def __init__(self, model: Any, precision: Precision = 'fp32', compile: Mapping[str, Any] | None = None) -> None:
        if precision == 'fp16':
            message = "strategy = 'fsdp' has no loss scale that all shards agree on, so it computes in fp32 or bf16."
            raise ConfigError(Problem('bad-config', message, 'precision', suggestion='bf16'))
        device_type = next(model.parameters()).device.type
        self.mesh = init_device_mesh(device_type, (num_processes(),))
        for parameter in model.parameters():
            dist.broadcast(parameter.detach(), src=0)
        share_buffers(model)
        _shard(model, self.mesh, precision)
        for name in FORWARD_METHODS:
            if hasattr(model, name):
                register_fsdp_forward_method(model, name)
                if precision != 'fp32':
                    setattr(model, name, cast(getattr(model, name), precision, device_type))
        super().__init__(model, compile=compile)
        self.precision = precision
        self.group = dist.new_group(backend='gloo')
        self.writer = sharded.ShardedWriter(self.group)

    def before_evaluation(self) -> None:
        """Take the buffers of the first process."""
        share_buffers(self.model)

    # ------------------------------------------------------------------ checkpoints

    def model_state(self) -> dict[str, Any]:
        """Shards of the parameters, and buffers."""
        return {name: value.detach() for name, value in self.model.state_dict().items()}

    def write_checkpoint(self, content: Mapping[str, Any], name: Path, link_latest: bool) -> None:
        """Begin to write a folder. It appears when all of it is on disk."""
        self.writer.write(content, name, link_latest)

    def read_checkpoint(self, name: Path) -> dict[str, Any]:
        """Read this process's part of a folder, or of an ordinary file."""
        self.finish()
        barrier()  # the first process gives folders their names
        if name.is_dir():
            return sharded.read(name, self._empty, self.group)
        content = super().read_checkpoint(name)
        hooks = {k: {**v, **self._parts(v, 'gradients')} for k, v in content.get('hooks', {}).items()}
        return {**content, **self._parts(content, 'optimizer'), 'hooks': hooks}

    def remove_checkpoint(self, name: Path) -> None:
        """Delete one, once what is being written has replaced it."""
        self.writer.remove(name)

    def finish(self) -> None:
        """Wait for the checkpoint that is being written."""
        self.writer.finish()

    def _empty(self, size: torch.Size, dtype: torch.dtype) -> Tensor:
        return empty_dtensor(*size, dtype=dtype, device_mesh=self.mesh, placements=[Shard(0)])

    def _parts(self, state: Mapping[str, Any], key: str) -> dict[str, Any]:
        """An entry of ``state``, if it is there, in which whole tensors with dimensions have become shards."""

        def part(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: part(inner) for name, inner in value.items()}
            if isinstance(value, Tensor) and not isinstance(value, DTensor) and value.ndim:
                return distribute_tensor(value, self.mesh, [Shard(0)])
            return value

        return {key: part(state[key])} if key in state else {}


def _shard(model: nn.Module, mesh: Any, precision: Precision) -> None:
    """Shard the blocks of the backbone each for itself, and all that is left together."""
    has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    dtype = torch.bfloat16 if precision == 'bf16' and not has_batch_norm else None
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=dtype and torch.float32, cast_forward_inputs=False)
    try:
        for name in block_names(model):
            fully_shard(model.get_submodule(name), mesh=mesh, mp_policy=policy)
        fully_shard(model, mesh=mesh, mp_policy=policy)
    except ValueError as error:
        raise ConfigError(Problem('bad-config', f'the model cannot be sharded: {error}.', 'strategy')) from error
