"""Building a model without memory, to find what only a built model can tell."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from intarsia.api.models import build_model
from intarsia.api.tasks import find_task
from intarsia.config.check import located
from intarsia.config.file import ConfigFile
from intarsia.config.pretrained import without_pretrained
from intarsia.core.errors import ConfigError, Problem

SHAPE_WORDS = (
    'shapes cannot be multiplied',
    'same reduction dim',
    'channels',
    'channel dimensions',
    'must match',
    'size mismatch',
    'running_mean should contain',
    'normalized_shape',
)
"""What torch says when a part gets an input it was not made for."""


def probe_model(config: ConfigFile) -> list[Problem]:
    """Build the model on the meta device and send one batch of two inputs through it.

    Nothing is allocated or computed: only shapes flow, so that parts that do not fit each other are found at once. What
    cannot run without memory is let through.

    Returns:
        The problems, with their places; empty if the batch came through.
    """
    values = config.values
    task = find_task(values['model'], values.get('task'))
    shape = task.input_shape(values)
    entered: list[tuple[str, nn.Module, Any]] = []
    try:
        with torch.device('meta'):
            model = build_model(without_pretrained(values['model']), init=False, task=values.get('task')).eval()
    except ConfigError as error:
        return located(error, config).problems
    except (TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
        notes = ''.join(f' ({note})' for note in getattr(error, '__notes__', ()))
        return _problems(
            'bad-config', f'the model cannot be built: {type(error).__name__}: {error}{notes}.', 'model', config
        )
    if shape is None:
        return []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda m, args, name=name: entered.append((name, m, args)))
    try:
        with torch.device('meta'):
            output = model(torch.empty(2, *shape))
    except RuntimeError as error:
        if entered and any(word in str(error) for word in SHAPE_WORDS):
            return _problems('channel-mismatch', *_misfit(entered[-1], error), config)
    except Exception:
        logging.getLogger('intarsia').debug('the model cannot be tried without memory', exc_info=True)
    else:
        found = task.check_output(model, output)
        return located(ConfigError(found), config).problems if found else []
    return []


def _misfit(entered: tuple[str, nn.Module, Any], error: Exception) -> tuple[str, str]:
    """The sentence about the module that refused its input, and the key path of the part it lies in."""
    name, module, args = entered
    shapes = ', '.join(str(tuple(a.shape)) for a in args if isinstance(a, torch.Tensor))
    part = name.partition('.')[0]
    return (
        f'{name}, {module}, does not fit its input of shape {shapes}: {str(error).rstrip(".")}.',
        f'model.{part}' if part else 'model',
    )


def _problems(code: str, message: str, path: str, config: ConfigFile) -> list[Problem]:
    return located(ConfigError(Problem(code, message, path)), config).problems
