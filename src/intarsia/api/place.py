"""Where a run happens."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from intarsia.config.schema import RunConfig
from intarsia.engine.distributed import World, find_world, from_first, start
from intarsia.engine.environment import pick_device


@dataclass(frozen=True)
class Place:
    """This process among all, its device, and the folder of what the run writes.

    Attributes:
        device: What it computes on.
        world: Who it is among all processes.
        work_dir: Folder of what the run writes; None for a test.
        timestamp: Start of the run, ``YYYYMMDD_HHMMSS``, the same in all processes.
    """

    device: torch.device
    world: World = field(default_factory=World)
    work_dir: Path | None = None
    timestamp: str = ''


def find_place(run: RunConfig, work_dir: Path | None = None) -> Place:
    """Join the other processes, if there are any, and pick this one's device.

    Raises:
        ConfigError: There is no such device, or the launcher's environment is missing.
    """
    world = find_world(run.launcher)
    device = pick_device(run.device, world.local_rank)
    start(world, run.launcher, device, run.dist_params)
    return Place(device, world, work_dir, from_first(time.strftime('%Y%m%d_%H%M%S')))
