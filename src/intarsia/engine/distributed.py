"""The processes that train together: who they are, and what they tell each other."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import distributed as dist

from intarsia.core.errors import ConfigError, Problem

Launcher = Literal['none', 'pytorch', 'slurm']


NAMES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
}
"""Variables in which launchers say who a process is."""


class World(NamedTuple):
    """This process among all that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Its number on this machine."""


def find_world(launcher: Launcher | None = None) -> World:
    """Who this process is, told from the environment its launcher made.

    Args:
        launcher: ``'pytorch'`` (torchrun), ``'slurm'``, ``'none'``; None recognizes torchrun, and is alone otherwise.

    Raises:
        ConfigError: The environment of the launcher is not there.
    """
    if launcher is None:
        launcher = 'pytorch' if {'RANK', 'WORLD_SIZE'} <= os.environ.keys() else 'none'
    if launcher == 'none':
        return World()
    rank, size, local_rank = (os.environ.get(name) for name in NAMES[launcher])
    if rank is None or size is None:
        starter = 'torchrun --nproc-per-node N' if launcher == 'pytorch' else 'srun'
        message = f"launcher '{launcher}' needs {NAMES[launcher][0]} in the environment; start with {starter}."
        raise ConfigError(Problem('bad-config', message, 'launcher'))
    return World(int(rank), int(size), int(local_rank or 0))


def start(world: World, launcher: Launcher | None, device: torch.device, options: Mapping[str, Any]) -> None:
    """Join the other processes; nothing happens if there are none, or if this process has joined already.

    Args:
        world: This process.
        launcher: Who started it.
        device: What it computes on, which decides the default backend.
        options: Arguments of ``init_process_group``: ``backend``, ``timeout`` in seconds.
    """
    if world.size == 1 or dist.is_initialized():
        return
    if launcher == 'slurm':
        _slurm_environment()
    given = dict(options)
    backend = given.pop('backend', None)
    if device.type != 'cuda' or backend is None:
        backend = 'nccl' if device.type == 'cuda' else 'gloo'
    if 'timeout' in given:
        given['timeout'] = datetime.timedelta(seconds=given['timeout'])
    dist.init_process_group(backend, rank=world.rank, world_size=world.size, **given)


def _slurm_environment() -> None:
    """Where the first process listens: the first machine of the job, at a port of its own."""
    if 'MASTER_ADDR' not in os.environ:
        nodes = os.environ['SLURM_JOB_NODELIST']
        try:
            shown = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
            first = shown.stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError):
            first = re.sub(r'\[(\d+)[^\]]*\]', r'\1', nodes).split(',')[0]
        os.environ['MASTER_ADDR'] = first
    os.environ.setdefault('MASTER_PORT', str(29500 + int(os.environ.get('SLURM_JOB_ID', '0')) % 1000))


def stop() -> None:
    """Leave the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


# ---------------------------------------------------------------------- what processes tell each other


def num_processes() -> int:
    """How many have joined."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files."""
    return not dist.is_initialized() or dist.get_rank() == 0


def is_sharded(model: torch.nn.Module) -> bool:
    """Whether each process holds a part of every parameter, so that a forward pass needs all of them."""
    return any(hasattr(parameter, 'full_tensor') for parameter in model.parameters())


def gather(value: Any) -> list[Any]:
    """The values of all processes, by rank; anything that can be pickled."""
    if num_processes() == 1:
        return [value]
    gathered: list[Any] = [None] * num_processes()
    dist.all_gather_object(gathered, value)
    return gathered


def from_first(value: Any) -> Any:
    """The value of the first process."""
    if num_processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def mean_of(values: Mapping[str, float]) -> dict[str, float]:
    """The means of numbers over all processes, of the names that every process has."""
    everywhere = gather(dict(values))
    names = [name for name in values if all(name in each for each in everywhere)]
    return {**values, **{name: sum(each[name] for each in everywhere) / len(everywhere) for name in names}}


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return any(gather(flag))


def barrier() -> None:
    """Wait for all processes."""
    if num_processes() > 1:
        dist.barrier()
