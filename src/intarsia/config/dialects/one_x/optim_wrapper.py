"""``optim_wrapper`` -> ``optimizer``, ``optimizer_config``, ``fp16`` and ``precision``."""

from __future__ import annotations

from typing import Any

from intarsia.config.dialects.reader import House, Reader

RULES = {'bias_decay_everywhere': True, 'skip_frozen': True}
"""What the rules of parameters are in 1.x, where those of 0.x differ."""

CONSTRUCTORS: dict[str, tuple[str, dict[str, Any]]] = {
    'DefaultOptimWrapperConstructor': ('DefaultOptimizerConstructor', RULES),
    'ForceDefaultOptimWrapperConstructor': ('DefaultOptimizerConstructor', {**RULES, 'force_default_settings': True}),
    'SwinOptimWrapperConstructor': ('DefaultOptimizerConstructor', {**RULES, 'combine_custom_keys': True}),
    'TSMOptimWrapperConstructor': ('TSMOptimizerConstructor', {}),
}
"""Constructors that are called otherwise here, and what they always do."""

PRECISIONS = {'float16': 'fp16', 'bfloat16': 'bf16', 'float32': 'fp32', 'float64': 'fp32'}

WRAPPERS = ('OptimWrapper', 'AmpOptimWrapper', 'ApexOptimWrapper')


def translate_optim_wrapper(reader: Reader, house: House) -> None:
    """Translate the field.

    Args:
        reader: Its content.
        house: Gets the fields.
    """
    kind = reader.take('type', 'OptimWrapper')
    if kind not in WRAPPERS:
        reader.report('type', f"there is no '{kind}' here; there are {', '.join(WRAPPERS)}.", 'unknown-component')
    optimizer = dict(reader.take('optimizer') or {})
    house.put('optimizer', optimizer, reader.place('optimizer'))
    constructor = reader.take('constructor', 'DefaultOptimWrapperConstructor')
    paramwise = dict(reader.take('paramwise_cfg') or {})
    name, rules = CONSTRUCTORS.get(constructor, (constructor, {}))
    if name != 'DefaultOptimizerConstructor':
        house.put('optimizer.constructor', name, reader.place('constructor'))
    if constructor == 'SwinOptimWrapperConstructor':  # its keys are parts of names
        paramwise = {'custom_keys': paramwise} if paramwise else {}
    if paramwise:
        house.put('optimizer.paramwise_cfg', {**paramwise, **rules}, reader.place('paramwise_cfg'))
    update = {'grad_clip': reader.take('clip_grad')}
    count = reader.take('accumulative_counts', 1)
    if count != 1:
        update['cumulative_iters'] = count
    house.put('optimizer_config', update, reader.path)
    scale, dtype = reader.take('loss_scale', 'dynamic'), str(reader.take('dtype', 'float16'))
    if kind != 'OptimWrapper':
        precision = PRECISIONS.get(dtype.rpartition('.')[2])
        if precision == 'fp16':
            house.put('fp16', {'loss_scale': scale}, reader.path)
        elif precision is None:
            reader.report('dtype', f"'{dtype}' is not one of {', '.join(PRECISIONS)}.", 'wrong-type')
        else:
            house.put('precision', precision, reader.path)
    reader.drop('use_fsdp', 'opt_level')
    reader.done()
