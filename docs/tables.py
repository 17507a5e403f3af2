"""The tables of the guides that are made from registries and docstrings, in English and in Chinese.

The words of the Chinese ones stand in ``words_zh.yaml``; a component without an entry there is an error.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from intarsia.core.arguments import signature_of
from intarsia.core.registries import HOOKS, SCHEDULES
from intarsia.engine import priority
from intarsia.engine.hook import Hook
from intarsia.engine.hooks.logger import LoggerHook
from intarsia.engine.hooks.lr_updater import LrUpdaterHook
from intarsia.engine.hooks.momentum_updater import MomentumUpdaterHook
from intarsia.engine.stage import Stage
from intarsia.optim.constructors import paramwise as paramwise_module
from intarsia.optim.schedules.link import Link

WORDS: dict[str, str] = yaml.safe_load(Path(__file__).with_name('words_zh.yaml').read_text(encoding='utf-8'))

OF_SECTIONS = {'OptimizerHook', 'GradientCumulativeOptimizerHook', 'Fp16OptimizerHook', 'CheckpointHook', 'EvalHook',
               'GradientCumulativeFp16OptimizerHook', 'IterTimerHook', 'ProgressBarHook'}  # fmt: skip
"""Hooks that have a section of the config, or that every run has: nobody names them in ``custom_hooks``."""


def policies(language: str) -> str:
    """All policies of single schedules."""
    rows = []
    for name in _named('LrUpdaterHook'):
        lr = HOOKS.get(f'{name}LrUpdaterHook')
        hook = f'{name}MomentumUpdaterHook'
        momentum = HOOKS.get(hook) if hook in HOOKS else None
        policy = name.lower() if name == name.title() else name
        rows.append([f'`{policy}`', _meaning(lr, language), _arguments(lr, LrUpdaterHook),
                     _arguments(momentum, MomentumUpdaterHook) if momentum else ''])  # fmt: skip
    return _table(['policy', 'what it does', '`lr_config`', '`momentum_config`'], rows, language)


def links(language: str) -> str:
    """All policies of a list of schedules."""
    parts = [(name, SCHEDULES.get(name)) for name in SCHEDULES.names()]
    rows = [[f'`{name}`', _meaning(link, language), _arguments(link, Link)] for name, link in parts]
    return _table(['policy', 'what it does', 'arguments'], rows, language)


def hooks(language: str) -> str:
    """The hooks for ``custom_hooks``."""
    own = [n for n in _built_in() if n not in OF_SECTIONS and not n.endswith(('UpdaterHook', 'LoggerHook'))]
    rows = [
        [f'`{name}`', _meaning(hook, language), f'`{hook.priority}`', _arguments(hook, Hook)]
        for name, hook in ((name, HOOKS.get(name)) for name in own)
    ]
    return _table(['hook', 'what it does', 'seat', 'arguments'], rows, language)


def loggers(language: str) -> str:
    """The hooks for ``log_config``."""
    parts = [(n, HOOKS.get(n)) for n in _built_in() if n.endswith('LoggerHook')]
    rows = [[f'`{name}`', _meaning(hook, language), _arguments(hook, LoggerHook)] for name, hook in parts]
    return _table(['logger', 'what it does', 'arguments'], rows, language)


def seats(language: str) -> str:
    """The names of seats, and who sits there."""
    seated = dict(_documented(ast.parse(inspect.getsource(priority))))
    rows = [
        [f'`{seat.name}`', str(seat.value), _word(seat.name, seated.get(seat.name, ''), language)]
        for seat in priority.Priority
    ]
    return _table(['name', 'number', 'who sits there'], rows, language)


def paramwise(language: str) -> str:
    """What ``paramwise_cfg`` may say."""
    meanings = _documented(ast.parse(inspect.getsource(paramwise_module)))
    return _table(['key', 'meaning'], [[f'`{n}`', _word(n, text, language)] for n, text in meanings], language)


def stages_around() -> str:
    """The stages outside the loop, from the docstring of Stage."""
    return f'```text\n{(inspect.getdoc(Stage) or "").rpartition("::")[2].strip()}\n```'.replace('\n    ', '\n')


PARTS: dict[str, Callable[[], str]] = {
    **{make.__name__: partial(make, 'en') for make in (policies, links, hooks, loggers, seats, paramwise)},
    **{f'{make.__name__}-zh': partial(make, 'zh') for make in (policies, links, hooks, loggers, seats, paramwise)},
    'stages-around': stages_around,
}


# ---------------------------------------------------------------------- what a component says of itself


def _built_in() -> list[str]:
    return [name for name in HOOKS.names() if HOOKS.user_component(name) is None]


def _named(suffix: str) -> list[str]:
    return [name.removesuffix(suffix) for name in _built_in() if name.endswith(suffix)]


def _arguments(target: Any, base: type) -> str:
    """Arguments with their defaults, without those of ``base``."""
    shared = signature_of(base).arguments
    shown = []
    for name in signature_of(target).arguments:
        if name not in shared:
            default = _default(target, name)
            shown.append(f'`{name}`' if default is inspect.Parameter.empty else f'`{name}={_value(default)}`')
    return ', '.join(shown)


def _default(target: Any, name: str) -> Any:
    for base in target.__mro__:
        init = base.__dict__.get('__init__')
        if init is not None and name in inspect.signature(init).parameters:
            return inspect.signature(init).parameters[name].default
    raise KeyError(name)


def _value(default: Any) -> str:
    if isinstance(default, tuple):
        return f'({", ".join(map(_value, default))})'
    return f'{default:.4g}' if isinstance(default, float) else repr(default)


def _meaning(target: Any, language: str) -> str:
    """The first sentence of its docstring in Markdown, without what the table says anyway."""
    text = (inspect.getdoc(target) or '').split('\n\n')[0].replace('\n', ' ')
    text = re.sub(r' \((policy )?``\w+``\)|[;,] arguments as [^.]*|[;,] seat [A-Z_]+', '', text)
    return _word(target.__name__, text, language)


def _word(name: str, english: str, language: str) -> str:
    if language == 'zh' and english:
        if name not in WORDS:
            raise KeyError(f'docs/words_zh.yaml has no entry for {name}: {english}')
        return WORDS[name]
    plain = re.sub(r':\w+:`~?(?:[\w.]+\.)?(\w+)`', r'`\1`', english)
    return plain.replace('``', '`').replace('|', '\\|')


def _documented(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names in the first class that has documented ones, with the strings below them; others have none."""
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    for item, after in pairwise(body):
        if isinstance(item, (ast.Assign, ast.AnnAssign)) and isinstance(after, ast.Expr):
            name = ast.unparse(item.target if isinstance(item, ast.AnnAssign) else item.targets[0])
            yield name, ' '.join(str(ast.literal_eval(after.value)).split())


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], language: str) -> str:
    titles = [WORDS.get(head, head) if language == 'zh' else head for head in heads]
    lines = [f'|{"|".join(f" {cell} " if cell else " " for cell in cells)}|' for cells in (titles, *rows)]
    return '\n'.join([lines[0], '|' + '---|' * len(titles), *lines[1:]])
