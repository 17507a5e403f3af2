"""Parameters and inputs that follow from their names, hashes of state dicts, and the comparison of outputs.

No weights are needed to compare two implementations of a network: each entry of the state dict is filled from its
key, each input from its name, and a few dozen elements of each output are kept.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Entries by the last part of their key. Constant tables stay as the constructor made them.
CONSTANT_TABLES = frozenset(
    """
    A attn_mask bm_mask cov cube_size dim_t freqs_cos freqs_sin gaussian_kernel grid_center grid_size inv_freq
    laplacian_kernel linspace_x linspace_y loc mask position_ids regular_matrix relative_coords_table relative_pos
    sample_mask sigmas weight_x weight_y x_bins y_bins
    """.split()  # noqa: SIM905 - a table reads better
)
EMBEDDINGS = frozenset(
    """
    PA absolute_pos_embed attention_biases bases bg_embed class_embedding cls_emb cls_token dist_token level_embed
    mask_token patch_pos pixel_pos pos_embed pos_enc positional_embedding query_embed query_pos_embed rel_pos_h
    rel_pos_t rel_pos_w relative_position_bias_table spat_embed temp_embed temporal_cls_token time_embed
    """.split()  # noqa: SIM905 - a table reads better
)
SCALES = frozenset(
    """
    balance g gamma gamma1 gamma2 gamma3 gamma_1 gamma_2 gamma_csa lambda_1 lambda_2 layer_scale_1 layer_scale_2
    logit_scale scale temperature
    """.split()  # noqa: SIM905 - a table reads better
)

MAX_SAMPLES = 64
"""At most this many elements of an output are kept."""


def generator(name: str) -> np.random.Generator:
    """The random stream of a name."""
    return np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode())))


def normals(name: str, shape: Iterable[int]) -> np.ndarray:
    """Standard normals of a name, float32."""
    shape = tuple(shape)
    return generator(name).standard_normal(math.prod(shape), dtype=np.float32).reshape(shape)


def make_input(name: str, shape: Iterable[int]) -> Tensor:
    """The input of that name."""
    return torch.from_numpy(normals(name, shape))


def fill(state: Mapping[str, Tensor], gain2: float = 1.7) -> list[str]:
    """Fill a state dict in place.

    Args:
        state: Entries by key; visited in sorted order, so that of two keys of one tensor the last decides.
        gain2: Square of the gain of the weight matrices.

    Returns:
        The keys that were left as they are: integers and constant tables, integers first.
    """
    kept_integers, kept_tables = [], []
    for key in sorted(state):
        tensor = state[key]
        last = key.rpartition('.')[2]
        if not tensor.is_floating_point() or not tensor.numel():
            kept_integers.append(key)
        elif last in CONSTANT_TABLES:
            kept_tables.append(key)
        else:
            factor, offset = _factor_and_offset(key, last, tuple(tensor.shape), gain2)
            z = normals(key, tensor.shape)
            z = (np.abs(z) if last == 'running_var' else z) * np.float32(factor) + np.float32(offset)
            with torch.no_grad():
                tensor.copy_(torch.as_tensor(z))
    return kept_integers + kept_tables


def _factor_and_offset(key: str, last: str, shape: tuple[int, ...], gain2: float) -> tuple[float, float]:
    """An entry is ``factor * z + offset``; the first rule that applies decides."""
    if last == 'running_var':
        return 0.1, 1.0
    if last == 'running_mean':
        return 0.05, 0.0
    if last in EMBEDDINGS:
        return 0.2, 0.0
    if last in SCALES or '.edge_importance.' in key:
        return 0.1, 1.0
    if last in ('alpha', 'beta') or last.startswith('bias') or last.endswith('bias'):
        return 0.05, 0.0
    if last == 'complex_weight':
        return 0.5, 0.0
    if len(shape) <= 1:
        return 0.1, 1.0
    return gain2**0.5 / math.sqrt(math.prod(shape[1:])), 0.0


def _line(key: str, tensor: Tensor) -> str:
    return f'{key}:{"x".join(map(str, tensor.shape))}'


def key_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-1 of keys and shapes."""
    return hashlib.sha1('\n'.join(sorted(_line(k, v) for k, v in state.items())).encode()).hexdigest()


def state_hash(state: Mapping[str, Tensor], keys: Iterable[str] | None = None) -> str:
    """SHA-1 of keys, shapes, types and values, of all entries or of ``keys`` in their order."""
    digest = hashlib.sha1()
    for key in sorted(state) if keys is None else keys:
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f'{_line(key, tensor)}:{str(tensor.dtype).removeprefix("torch.")}\n'.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def sample_indices(name: str, count: int) -> np.ndarray:
    """Which elements of an output of ``count`` elements, flattened, are kept."""
    return np.arange(count) if count <= MAX_SAMPLES else generator(name).integers(0, count, size=MAX_SAMPLES)


def deviation(output: Tensor, kept: Mapping[str, Any]) -> float:
    """How far an output is from the kept one, relative to its root mean square.

    Args:
        output: The whole output.
        kept: ``name``, ``shape``, ``values`` (at :func:`sample_indices`), ``mean``, ``std`` (population), ``l2``; the
            last three are None if something is not finite, and ``nonfinite`` then counts what.

    Returns:
        The greatest deviation of a value, of mean, of std and (relative to itself) of l2; infinity if the shapes
        or the counts differ.
    """
    if list(output.shape) != list(kept['shape']):
        return math.inf
    flat = output.detach().cpu().double().reshape(-1)
    if kept['l2'] is None:
        return 0.0 if int((~flat.isfinite()).sum()) == kept['nonfinite'] else math.inf
    if not flat.isfinite().all():
        return math.inf
    rms = kept['l2'] / math.sqrt(flat.numel()) or 1.0
    sampled = flat[torch.from_numpy(sample_indices(kept['name'], flat.numel()))]
    wrong = [
        (sampled - torch.tensor(kept['values'], dtype=torch.float64)).abs().max().item() / rms,
        abs(flat.mean().item() - kept['mean']) / rms,
        abs(flat.std(correction=0).item() - kept['std']) / rms,
        abs(flat.norm().item() - kept['l2']) / (kept['l2'] or 1.0),
    ]
    return max(wrong)


def tuples(node: Any) -> Any:
    """A config from JSON with ``{'__tuple__': [...]}`` as tuples."""
    if isinstance(node, dict):
        if '__tuple__' in node:
            return tuple(tuples(value) for value in node['__tuple__'])
        return {key: tuples(value) for key, value in node.items()}
    return [tuples(value) for value in node] if isinstance(node, list) else node
