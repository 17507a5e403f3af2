"""The check of a whole config before anything is built: all mistakes in one report."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intarsia.config import crosscheck
from intarsia.config.components import Finding, check_node, wrong_type
from intarsia.config.dialects.one_x.translate import OWN
from intarsia.config.file import ConfigFile
from intarsia.config.optimizer import check_optimizer
from intarsia.config.override import SOURCE
from intarsia.config.schedules import check_schedules
from intarsia.config.schema import SECTIONS, RunConfig, fields_of, vocabulary
from intarsia.config.types import fits
from intarsia.core import registries
from intarsia.core.arguments import Argument
from intarsia.core.errors import ConfigError, Problem, RegistryError, closest

CODES = {
    'bad-annotation': 'an annotation that does not fit its image or the joints',
    'bad-config': 'the file runs into an error, or holds no names',
    'bad-inheritance': 'a base that does not fit',
    'bad-mask': 'a mask that does not fit its image or the classes',
    'bad-option': 'a --cfg-options that cannot be read or applied',
    'bad-substitution': 'a {{ variable }} that has no value',
    'class-count': 'the number of classes differs between the head and the data',
    'channel-mismatch': 'a part gets another number of channels than it was made for',
    'import-failed': 'a module of custom_imports cannot be imported',
    'missing-argument': 'a component lacks an argument',
    'missing-config': 'a config file that does not exist',
    'missing-field': 'a run cannot do without this field',
    'missing-file': 'a value names a file or folder that does not exist',
    'other-generation': 'a word of the other generation of config files',
    'reserved-name': 'a name the config itself uses',
    'syntax-error': 'the file is not valid Python, JSON or YAML',
    'two-lengths': 'a run is told both its epochs and its iterations',
    'unknown-argument': 'a component has no such argument',
    'unknown-component': 'no registry has such a name',
    'unknown-field': 'a field that does not exist',
    'untrusted-code': 'a config that is read as data imports, calls or defines something',
    'wrong-type': 'a value of the wrong kind',
}
"""Every ``code`` a problem can have."""

DEFAULT_HOOKS = {'optimizer_config': 'OptimizerHook', 'checkpoint_config': 'CheckpointHook', 'ema': 'EMAHook'}
"""Fields that hold the arguments of a hook."""

SCRATCH_SUFFIXES = ('_pipeline', '_cfg', '_root', '_type', '_prefix')
"""Endings of customary variable names; such a name is never taken for a misspelt field."""

SIMILAR = 0.85
"""From this ratio on an unknown top-level name is taken for a misspelt field."""


def import_custom_modules(config: ConfigFile) -> Iterator[Finding]:
    """Import what ``custom_imports`` names, so that its components register themselves.

    After ``PYTHONPATH``, the working directory and the config's folder are searched.
    """
    wanted = config.values.get('custom_imports')
    if not wanted:
        return
    if isinstance(wanted, Mapping):
        modules, allow_failed = wanted.get('imports', []), bool(wanted.get('allow_failed_imports', False))
    else:
        modules, allow_failed = wanted, False
    folders = [str(Path.cwd()), *([str(config.file.parent.resolve())] if config.file else [])]
    sys.path.extend(folder for folder in folders if folder not in sys.path)
    for module in [modules] if isinstance(modules, str) else modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            if not (allow_failed and isinstance(error, ImportError)):
                is_itself = isinstance(error, ModuleNotFoundError) and f'{module}.'.startswith(f'{error.name}.')
                searched = f' Searched: {", ".join(sys.path)}.' if is_itself else ''
                text = str(error) if str(error).endswith(('.', '?')) else f'{error}.'
                message = f'importing {module} failed: {type(error).__name__}: {text}{searched}'
                yield Finding('import-failed', message, 'custom_imports')


def check(config: ConfigFile, *, files: bool = True) -> list[Problem]:
    """All mistakes in a config, in the order of the file.

    Args:
        config: As read.
        files: Whether values that name missing files count.
    """
    findings = [*import_custom_modules(config)]
    values = config.values
    findings += [*_check_names(values)]
    findings += [*_check_needed(values), *_check_sections(values), *_check_components(values)]
    findings += crosscheck.check_length(values)
    findings += crosscheck.check_channels_and_classes(values, task_of(values))
    findings += crosscheck.check_files(values) if files else []
    by_place: dict[tuple[Any, ...], Problem] = {}
    for problem in (_place(finding, config) for finding in findings):
        # one line can be used by several parts of a config, as a pipeline by val and test
        by_place.setdefault((problem.file, problem.line, problem.message, problem.line or problem.path), problem)
    return sorted(by_place.values(), key=lambda p: (p.file or '', p.line or 0))


def checked(config: ConfigFile, *, files: bool = True) -> ConfigFile:
    """The config itself, if nothing is wrong with it.

    Raises:
        ConfigError: With all problems.
    """
    problems = check(config, files=files)
    if problems:
        raise ConfigError(problems)
    return config


def task_of(values: Mapping[str, Any]) -> str | None:
    """The task of a run: that of its model, else the field ``task``."""
    model = values.get('model')
    kind = model.get('type') if isinstance(model, Mapping) else None
    try:
        if isinstance(kind, str) and kind in registries.MODELS:
            user = registries.MODELS.user_component(kind)
            entry = registries.MODELS.entry(kind)
            return (user.task if user else entry.task if entry else None) or values.get('task')
    except RegistryError:
        pass
    return values.get('task')


def located(error: ConfigError, config: ConfigFile) -> ConfigError:
    """The same problems, with file and line of their key paths where they have none."""
    placed = [p if p.file else _place(Finding(p.code, p.message, p.path, p.suggestion), config) for p in error.problems]
    return ConfigError(placed)


def _place(finding: Finding, config: ConfigFile) -> Problem:
    origin = config.origins.find(finding.path)
    file, line = origin if origin else (str(config.file) if config.file else None, None)
    message = finding.message + (_left_over(finding.path, file, config) if finding.code == 'unknown-argument' else '')
    return Problem(finding.code, message, finding.path, file, line, finding.suggestion)


def _left_over(path: str, file: str | None, config: ConfigFile) -> str:
    """How an argument of a base is removed, if the file itself gave the component another type."""
    kind = config.origins.find(path.rpartition('.')[0] + '.type')
    if kind is None or file in (kind[0], SOURCE) or kind[0] != str(config.file):
        return ''
    return f' It is inherited; _delete_=True beside the type at {kind[0]}:{kind[1]} leaves out what is inherited.'


# ---------------------------------------------------------------------- names and sections


def _check_names(values: Mapping[str, Any]) -> Iterator[Finding]:
    known = vocabulary()
    for name in values:
        if name in OWN - {'train_cfg', 'test_cfg'}:
            yield Finding('other-generation', f"'{name}' is a field of 1.x config files; this one is 0.x.", name)
        elif name not in known and not name.endswith(SCRATCH_SUFFIXES):
            close = closest(name, known, SIMILAR)
            if close:
                yield Finding('unknown-field', f"there is no field '{name}'.", name, close)


def _check_needed(values: Mapping[str, Any]) -> Iterator[Finding]:
    for name in ('model', 'data'):
        if not values.get(name):
            yield Finding('missing-field', f"the config has no '{name}'.", name)


def _check_sections(values: Mapping[str, Any]) -> Iterator[Finding]:
    for name, spec in fields_of(RunConfig).items():
        if name not in values:
            continue
        value, section = values[name], SECTIONS.get(name)
        if section is not None and isinstance(value, Mapping):
            yield from _check_section(name, value, section)
        elif value is not None and section is not None:
            yield Finding('wrong-type', f"'{name}' must be a dict, not {value!r:.80}.", name)
        elif value is not None and not fits(value, _annotation(spec)):
            yield wrong_type(f"'{name}' needs", value, Argument(name, False, _annotation(spec)), name)


def _annotation(spec: dataclasses.Field[Any]) -> str:
    """The annotation with the name Node, which only this package knows, spelled out."""
    return str(spec.type).replace('Node', 'Mapping')


def _check_section(name: str, value: Mapping[str, Any], section: type[Any]) -> Iterator[Finding]:
    known = fields_of(section)
    for key, item in value.items():
        path = f'{name}.{key}'
        if key not in known:
            message = f"'{name}' has no field '{key}'. It has: {', '.join(known)}."
            yield Finding('unknown-field', message, path, closest(str(key), known))
        elif not fits(item, _annotation(known[key])):
            yield wrong_type(f"'{name}' needs '{key}'", item, Argument(key, False, _annotation(known[key])), path)
    if name == 'data':
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if isinstance(value.get(loader), Mapping):
                yield from _check_section(f'data.{loader}', value[loader], SECTIONS['data'].__mro__[1])


# ---------------------------------------------------------------------- components


def _check_components(values: Mapping[str, Any]) -> Iterator[Finding]:
    task = task_of(values)
    if isinstance(values.get('model'), Mapping):
        if 'type' not in values['model']:
            yield Finding('missing-argument', "'model' needs a 'type'.", 'model')
        yield from check_node(values['model'], registries.MODELS.of(task), 'model')
    data = values.get('data')
    if isinstance(data, Mapping):
        for split in ('train', 'val', 'test'):
            yield from check_node(data.get(split), registries.DATASETS.of(task), f'data.{split}')
        yield from check_node(data.get('sampler'), registries.SAMPLERS, 'data.sampler')
    evaluation = values.get('evaluation') or {}
    for name in ('metric', 'metrics') if isinstance(evaluation, Mapping) else ():
        if not isinstance(evaluation.get(name), str):
            yield from check_node(evaluation.get(name), registries.METRICS.of(task), f'evaluation.{name}')
    yield from check_optimizer(values.get('optimizer'))
    yield from _check_hooks(values)


def _check_hooks(values: Mapping[str, Any]) -> Iterator[Finding]:
    hooks = registries.HOOKS.of(task_of(values))
    yield from check_schedules(values)
    for name, default in DEFAULT_HOOKS.items():
        if isinstance(values.get(name), Mapping):
            yield from check_node(values[name], hooks, name, default_type=default)
    log = values.get('log_config')
    if isinstance(log, Mapping):
        yield from check_node(log.get('hooks'), hooks, 'log_config.hooks', frozenset({'priority'}))
    yield from check_node(values.get('custom_hooks'), hooks, 'custom_hooks', frozenset({'priority'}))
    runner = values.get('runner')
    if isinstance(runner, Mapping) and 'type' in runner and runner['type'] not in registries.RUNNERS:
        names = registries.RUNNERS.names()
        yield Finding('unknown-component', f"there is no runner '{runner['type']}'.", 'runner.type',
                      closest(str(runner['type']), names))  # fmt: skip
