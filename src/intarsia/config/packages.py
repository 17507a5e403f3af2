"""Config files that installed packages bring along: ``mmdet::_base_/default_runtime.py``."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from intarsia.core.errors import ConfigError, Problem

RECIPES_DIR = Path(__file__).resolve().parent.parent / 'recipes'

FOLDERS = ('.mim/configs', 'configs')
"""Where packages keep their config files."""


def package_config(package: str, path: str, near: Path | None = None) -> Path:
    """The config file of a package; nothing is imported.

    Args:
        package: Its name; ``intarsia`` has the shipped recipes.
        path: The file below its folder of configs.
        near: The file that asks. Packages are also looked for around it, so that the configs of a toolbox can be read
            where it is not installed.

    Raises:
        ConfigError: There is no such file.
    """
    if package == 'intarsia':
        return RECIPES_DIR / path
    places = list(dict.fromkeys(_places(package, near)))
    for place in places:
        if (place / path).is_file():
            return place / path
    looked = ', '.join(map(str, places)) or 'no folder: the package is not installed'
    message = f'there is no config file {path} of {package}; looked in {looked}.'
    raise ConfigError(Problem('missing-config', message, '_base_', None if near is None else str(near)))


def _places(package: str, near: Path | None) -> Iterator[Path]:
    for parent in near.resolve().parents if near is not None else ():
        if parent.name == package:
            yield from (parent / folder for folder in FOLDERS)
        if (parent / package).is_dir():
            yield from (parent / package / folder for folder in FOLDERS)
        if parent.name == 'configs':
            yield parent
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        yield from (Path(root) / folder for folder in FOLDERS)


def module_file(module: str, near: Path) -> Path:
    """The config file that ``from MODULE import *`` names in a file of the lazy style.

    Args:
        module: With leading dots relative to the folder of ``near``; otherwise ``package.configs.path.to.file``.
        near: The file that asks.

    Raises:
        ConfigError: A package has no such file.
    """
    name = module.lstrip('.')
    level = len(module) - len(name)
    if level:
        return near.parent.joinpath(*['..'] * (level - 1), *name.split('.')).with_suffix('.py')
    package, _, rest = name.partition('.')
    return package_config(package, f'{rest.removeprefix("configs.").replace(".", "/")}.py', near)
