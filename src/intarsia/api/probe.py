"""Building a model without memory, to find what only a built model can tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from intarsia.api.models import build_model, without_pretrained
from intarsia.config.file import ConfigFile
from intarsia.core.errors import ConfigError, Problem


def probe_model(config: ConfigFile) -> list[Problem]:
    """Build the model on the meta device and send one batch of two images through it.

    Nothing is allocated or computed: only shapes flow, so that parts that do not fit each other are found at once.

    Returns:
        The problems; empty if the batch came through.
    """
    values = config.values
    origin = config.origins.find('model') or (str(config.file) if config.file else None, None)
    try:
        with torch.device('meta'):
            model = build_model(without_pretrained(values['model']), init=False).eval()
            model(torch.empty(2, _in_channels(values['model']), *_image_size(values)))
    except ConfigError as error:
        return error.problems
    except Exception as error:
        notes = ''.join(f' ({note})' for note in getattr(error, '__notes__', ()))
        message = f'the model cannot be built or run: {type(error).__name__}: {error}{notes}.'
        code = (
            'channel-mismatch'
            if 'shapes cannot be multiplied' in str(error) or 'channels' in str(error)
            else 'bad-config'
        )
        return [Problem(code, message, 'model', *origin)]
    return []


def _in_channels(model: Mapping[str, Any]) -> int:
    backbone = model.get('backbone')
    return int(backbone.get('in_channels', 3)) if isinstance(backbone, Mapping) else 3


def _image_size(values: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the images: the backbone's ``img_size``, else the last size of the pipeline, else 224."""
    backbone = values['model'].get('backbone')
    size: Any = backbone.get('img_size') if isinstance(backbone, Mapping) else None
    data = values.get('data') or {}
    node = data.get('train') or {}
    while isinstance(node, Mapping) and 'pipeline' not in node and isinstance(node.get('dataset'), Mapping):
        node = node['dataset']
    for step in node.get('pipeline', ()) if isinstance(node, Mapping) and size is None else ():
        size = step.get('size') or step.get('crop_size') or size
    if isinstance(size, int):
        return size, size
    if isinstance(size, (list, tuple)) and len(size) == 2 and min(size) > 0:
        return int(size[0]), int(size[1])
    return 224, 224
