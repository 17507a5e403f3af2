"""What a run happens in: versions, devices, threads, seeds."""

from __future__ import annotations

import platform
import random
import secrets
import sys
from importlib import metadata
from typing import Any

import numpy as np
import torch

from intarsia.core.errors import ConfigError, Problem

PACKAGES = ('intarsia', 'torch', 'numpy', 'opencv-python-headless', 'Pillow', 'safetensors', 'rich')


def environment() -> dict[str, Any]:
    """Versions of Python and packages, the processor count and the GPUs."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        'python': platform.python_version(),
        'platform': platform.platform(),
        'executable': sys.executable,
        **versions,
        'cuda': torch.version.cuda,
        'gpus': gpus,
        'threads': torch.get_num_threads(),
    }


def pick_device(wanted: str | None, local_rank: int = 0) -> torch.device:
    """The device asked for, or the best there is.

    Args:
        wanted: ``'cpu'``, ``'cuda'``, ``'cuda:1'``; None takes a GPU if there is one.
        local_rank: Number of this process on its machine: the GPU that is taken when none is named.

    Raises:
        ConfigError: There is no such device here.
    """
    if wanted is None:
        wanted = 'cuda' if torch.cuda.is_available() else 'cpu'
    if wanted == 'cuda' and torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
        return torch.device('cuda', torch.cuda.current_device())
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition('\n')[0]
        message = f"device '{wanted}' cannot be used here: {reason}."
        raise ConfigError(Problem('bad-config', message, 'device', suggestion='cpu')) from None
    return device


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed the global generators, and allow only deterministic algorithms if asked."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if deterministic:
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def draw_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbelow(2**31)
