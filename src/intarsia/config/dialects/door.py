"""The door: configs of other packages and of the newer generation, in the words of the house."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from intarsia.config.components import Finding
from intarsia.config.dialects.names import modules_of, with_bare_names
from intarsia.config.dialects.one_x.translate import is_one_x, translate
from intarsia.config.file import ConfigFile
from intarsia.core.errors import ConfigError, Problem
from intarsia.core.index import package_dir
from intarsia.core.registries import MODELS


def house_form(config: ConfigFile) -> ConfigFile:
    """The same run in the words of the house.

    Args:
        config: As read; not changed.

    Raises:
        ConfigError: All that cannot be translated.
    """
    values = with_bare_names(config.values)
    modules = sorted(modules_of(config.values))
    if modules and 'custom_imports' not in values:
        values['custom_imports'] = {'imports': modules}
    _drop_unneeded_imports(values)
    if not is_one_x(values):
        return dataclasses.replace(config, values=values)
    house, findings = translate(values, config.origins, _task(values.get('model')))
    if findings:
        raise ConfigError([_problem(finding, config) for finding in findings])
    return dataclasses.replace(config, values=house.values, origins=house.origins)


NOT_NEEDED = ('mmdet.models',)
"""Modules that configs import for parts which are here."""


def _drop_unneeded_imports(values: dict[str, Any]) -> None:
    """Take out of ``custom_imports`` what is not installed and not needed."""
    asked = values.get('custom_imports')
    names = asked.get('imports') if isinstance(asked, Mapping) else None
    if isinstance(names, (list, tuple)) and any(name in NOT_NEEDED for name in names) and package_dir('mmdet') is None:
        values['custom_imports'] = {**(asked or {}), 'imports': [name for name in names if name not in NOT_NEEDED]}


def _task(model: Any) -> str | None:
    kind = model.get('type') if isinstance(model, Mapping) else None
    return MODELS.find(kind).task if isinstance(kind, str) and kind in MODELS else None


def _problem(finding: Finding, config: ConfigFile) -> Problem:
    place = config.origins.find(finding.path) or (str(config.file) if config.file else None, None)
    return Problem(finding.code, finding.message, finding.path, place[0], place[1], finding.suggestion)
