"""Weights of other libraries and of the old toolboxes, as files that our models load as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intarsia.api.generations import NAMES, as_newer, as_older, is_of_toolbox
from intarsia.api.models import FACTS, build_model, fact_of
from intarsia.config.dialects.door import house_form
from intarsia.config.file import load_config
from intarsia.config.override import apply_options
from intarsia.config.pretrained import without_pretrained
from intarsia.core.errors import CheckpointError, IntarsiaError
from intarsia.core.version import __version__
from intarsia.engine.checkpoint.files import write_atomically
from intarsia.models.conversion.layout import Converted, choose_layout, is_known
from intarsia.models.conversion.layouts import LAYOUTS
from intarsia.nn.weights import (
    DROP_MODULE,
    PREPROCESSOR,
    LoadReport,
    PathLike,
    find_weights,
    load_state_dict,
    read_checkpoint,
    select,
    tensors_of,
    without_averages,
)

TOOLBOXES = ('mmcls', 'mmpretrain', 'mmseg', 'mmpose', 'mmaction')
SOURCES = ('auto', *LAYOUTS, *TOOLBOXES)
TARGETS = ('intarsia', *NAMES)
SHOWN = 8
"""Entries that an error lists."""


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source: The library, or ``'toolbox'``.
        family: The family of networks, as the library calls it; empty for models of the toolboxes.
        models: Our backbones that take the weights.
        renamed: Their names -> ours, where these differ.
        num_entries: Entries that were written.
        dropped: Entries that are no weights, or that ours computes by itself.
        left_over: Entries that nothing of ours takes, and that were not written.
        missing: Entries of the config's model that nothing was found for.
        note: What to know when building the model.
    """

    source: str
    family: str = ''
    models: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    num_entries: int = 0
    dropped: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    note: str = ''

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass
class _Weights:
    """Weights on their way."""

    state: dict[str, Tensor]
    source: str
    converted: Converted | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def convert_checkpoint(
    src: PathLike,
    dst: PathLike,
    *,
    source: str = 'auto',
    target: str = 'intarsia',
    config: str | Path | None = None,
    cfg_options: Iterable[str] = (),
    partial: bool = False,
) -> Conversion:
    """Write weights as our models, or those of a generation of the toolboxes, name them.

    The file has ``state_dict``, with ``backbone.`` and the head of a classifier, and ``meta``; it is no checkpoint of a
    run. Everything is read without running code.

    Args:
        src: A file of torchvision, timm, one of the toolboxes, or of ours; or a name, see
            :func:`intarsia.nn.weights.find_weights`.
        dst: Where to.
        source: One of ``SOURCES``; ``'auto'`` tells them apart by their entries.
        target: ``'intarsia'``, ``'0.x'`` or ``'1.x'``. The networks are the same; pose models and BMN differ in names.
        config: A config whose model has to take the weights; names are then those of this model.
        cfg_options: ``KEY=VALUE`` changes of the config.
        partial: Leave out what does not fit, instead of failing.

    Raises:
        CheckpointError: The weights are missing, broken, of no network that is known, or do not fit.
        ConfigError: The config has mistakes.
        IntarsiaError: ``dst`` exists already.
    """
    if Path(dst).exists():
        raise IntarsiaError(f'{dst} exists already; it is not overwritten')
    path = find_weights(src)
    content = read_checkpoint(path)
    weights = _read(tensors_of(content, path), source)
    if config is not None:
        _fit(weights, _model_of(config, cfg_options))
    elif target != 'intarsia':
        names = as_newer(weights.state) if target == '1.x' else as_older(weights.state, is_pose=source == 'mmpose')
        _rename(weights, names)
    if not partial and (weights.left_over or weights.missing):
        raise CheckpointError(_disagreement(path, weights))
    meta = _meta(content.get('meta'), weights, target)
    write_atomically({'meta': meta, 'state_dict': weights.state}, Path(dst))
    return _report(weights)


def _read(state: Mapping[str, Tensor], source: str) -> _Weights:
    """The weights by our names, or by those of the toolbox that wrote them."""
    state = select(state, None, DROP_MODULE)
    libraries = LAYOUTS if source == 'auto' else {source: LAYOUTS.get(source, ())}
    if source in TOOLBOXES or (source == 'auto' and is_of_toolbox(state) and not is_known(state, libraries)):
        kept = {k: v for k, v in without_averages(state).items() if not k.startswith(PREPROCESSOR)}
        return _Weights(kept, 'toolbox', dropped=[key for key in state if key not in kept])
    library, converted = choose_layout(state, libraries)
    return _Weights(converted.state, library, converted, converted.renamed, converted.dropped, converted.left_over)


def _rename(weights: _Weights, names: Mapping[str, Tensor]) -> None:
    """Take over the same tensors by other names."""
    new = {id(value): key for key, value in names.items()}
    changed = {key: new[id(value)] for key, value in weights.state.items() if id(value) in new}
    if weights.converted is None:
        weights.renamed = {old: name for old, name in changed.items() if old != name}
    weights.dropped += [key for key in weights.state if key not in changed]
    weights.state = dict(names)


def _model_of(config: str | Path, cfg_options: Iterable[str]) -> torch.nn.Module:
    read = load_config(config)
    apply_options(read, cfg_options)
    model: torch.nn.Module = build_model(without_pretrained(house_form(read).values['model']), init=False)
    return model


def _fit(weights: _Weights, model: torch.nn.Module) -> None:
    """Give the weights the names that the model knows most of, and leave out what it does not take."""

    def report_of(state: Mapping[str, Tensor]) -> LoadReport:
        return load_state_dict(model, state, strict=False)

    candidates = [weights.state, as_older(weights.state, is_pose=True), as_newer(weights.state)]
    best = max(candidates, key=lambda state: len(report_of(state).loaded))
    if best is not weights.state:
        _rename(weights, best)
    report = report_of(weights.state)
    misfits = [f'{key} {theirs} instead of {ours}' for key, theirs, ours in report.mismatched]
    weights.left_over += [*report.unexpected, *misfits]
    weights.missing = list(report.missing)
    gone = {*report.unexpected, *(key for key, *_ in report.mismatched)}
    weights.state = {key: value for key, value in weights.state.items() if key not in gone}


def _disagreement(path: Path, weights: _Weights) -> str:
    lists = {'have no place': weights.left_over, 'are missing': weights.missing}
    parts = [
        f'{len(keys)} entries {text}: {", ".join(keys[:SHOWN])}{", ..." if len(keys) > SHOWN else ""}'
        for text, keys in lists.items()
        if keys
    ]
    layout = weights.converted and weights.converted.layout
    kind = f'the weights of a {weights.source} {layout.name}' if layout else 'the weights'
    note = f' {layout.note}' if layout and layout.note else ''
    return f'{path} holds {kind}, but {"; ".join(parts)}. With --partial the rest is written.{note}'


def _meta(meta: Any, weights: _Weights, target: str) -> dict[str, Any]:
    """What is known of the data, in the words of the target, and where the weights come from."""
    facts = {name: value for name in FACTS if (value := fact_of(meta or {}, name)) is not None}
    layout = weights.converted and weights.converted.layout
    found: dict[str, Any] = {'intarsia_version': __version__, **facts}
    found['converted_from'] = f'{weights.source} {layout.name}' if layout else weights.source
    if target == '1.x' and facts:
        found['dataset_meta'] = {FACTS[name]: value for name, value in facts.items()}
    return found


def _report(weights: _Weights) -> Conversion:
    layout = weights.converted and weights.converted.layout
    return Conversion(
        source=weights.source,
        family=layout.name if layout else '',
        models=layout.models if layout else (),
        renamed=weights.renamed,
        num_entries=len(weights.state),
        dropped=tuple(weights.dropped),
        left_over=tuple(weights.left_over),
        missing=tuple(weights.missing),
        note=layout.note if layout else '',
    )
