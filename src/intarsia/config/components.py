"""Checks every component node of a config against its registry and its signature, without importing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from intarsia.config.types import fits, literals
from intarsia.core import registries
from intarsia.core.arguments import Argument, Signature, signature_of, static_signature
from intarsia.core.errors import RegistryError, closest
from intarsia.core.registry import Registry

CHILD_REGISTRIES: dict[str, Registry] = {
    'conv_cfg': registries.CONV_LAYERS,
    'norm_cfg': registries.NORM_LAYERS,
    'act_cfg': registries.ACTIVATION_LAYERS,
    'ffn_act_cfg': registries.ACTIVATION_LAYERS,
    'padding_cfg': registries.PADDING_LAYERS,
    'plugins': registries.PLUGIN_LAYERS,
    'upsample_cfg': registries.PLUGIN_LAYERS,
    'init_cfg': registries.INITIALIZERS,
    'pipeline': registries.TRANSFORMS,
    'switch_pipeline': registries.TRANSFORMS,
    'transforms': registries.TRANSFORMS,
    'policies': registries.TRANSFORMS,
    'dataset': registries.DATASETS,
    'datasets': registries.DATASETS,
    'augments': registries.BATCH_AUGMENTS,
    'blending': registries.BATCH_AUGMENTS,
    'sampler': registries.SAMPLERS,
    'codec': registries.CODECS,
    'encoder': registries.CODECS,
}
"""Which registry the nodes below an argument belong to; others stay in the registry of their parent."""

CHILDREN_OF_MODELS: dict[str, Registry] = {**CHILD_REGISTRIES, 'sampler': registries.PIXEL_SAMPLERS}
"""The same within a model."""

NOT_NODES = frozenset({'on_trace_ready', 'dataset_info', 'metainfo', 'slow_pathway', 'fast_pathway'})
"""Arguments in which ``type`` names no component."""

CARRIED: dict[str, frozenset[str]] = {
    'policies': frozenset({'magnitude_key', 'magnitude_range'}),
    'custom_hooks': frozenset({'priority'}),
    'hooks': frozenset({'priority'}),
}
"""Keys that the owner of a list reads itself before it builds the nodes."""

LAYERS = (
    registries.CONV_LAYERS,
    registries.NORM_LAYERS,
    registries.ACTIVATION_LAYERS,
    registries.PADDING_LAYERS,
    registries.PLUGIN_LAYERS,
)
"""Layers get their sizes from the network that builds them."""

INJECTED: dict[str, frozenset[str]] = {
    'OPTIMIZERS': frozenset({'params'}),
    'HOOKS': frozenset({'runner', 'dataloader', 'evaluator'}),
    'SAMPLERS': frozenset({'dataset', 'dataset_size', 'seed', 'rank', 'world_size', 'shuffle'}),
    'PIXEL_SAMPLERS': frozenset({'context'}),
    'OPTIMIZER_BUILDERS': frozenset({'optimizer_cfg', 'paramwise_cfg'}),
    'METRICS': frozenset({'ann_file', 'sigmas'}),
}
"""Required arguments that whoever builds the component gives."""


@dataclass(frozen=True)
class Finding:
    """A mistake before its place in a file is known: code, message, key path, suggestion."""

    code: str
    message: str
    path: str
    suggestion: str | None = None


def check_node(
    node: Any, registry: Registry, path: str, carried: frozenset[str] = frozenset(), default_type: str | None = None
) -> Iterator[Finding]:
    """All mistakes in a component node and the nodes below it.

    Args:
        node: The node; anything but a mapping or a sequence of them has nothing to check.
        registry: Where its ``type`` is looked up.
        path: Its key path.
        carried: Keys that are not its own arguments.
        default_type: The type of a node that names none.
    """
    if isinstance(node, (list, tuple)):
        for i, item in enumerate(node):
            yield from check_node(item, registry, f'{path}.{i}', carried)
        return
    if not isinstance(node, Mapping):
        return
    if 'type' in node or default_type:
        arguments = {k: v for k, v in node.items() if k != 'type' and k not in carried}
        given_later = {node['magnitude_key']} if 'magnitude_key' in carried & node.keys() else frozenset()
        yield from check_component(node.get('type', default_type), arguments, registry, path, given_later)
    children = CHILDREN_OF_MODELS if registry.root is registries.MODELS else CHILD_REGISTRIES
    is_known = not isinstance(node.get('type'), str) or _has(registry, node['type'])
    for key, value in node.items():
        if key in NOT_NODES or (key not in children and not is_known):  # nobody knows what an unknown component takes
            continue
        child = children.get(key, registry)
        task_view = child.of(registry.task) if child is not registry else registry
        yield from check_node(value, task_view, f'{path}.{key}', CARRIED.get(key, frozenset()))


def _has(registry: Registry, name: str) -> bool:
    """Whether a registry has a name, even if it cannot tell whose."""
    try:
        return name in registry
    except RegistryError:
        return True


def check_component(
    kind: Any, arguments: Mapping[str, Any], registry: Registry, path: str, given_later: Set[str] = frozenset()
) -> Iterator[Finding]:
    """Mistakes in the type name and the arguments of one component; ``given_later`` are not missed."""
    try:
        signature = find_signature(kind, registry)
    except RegistryError:
        message, suggestion = registry.explain_miss(str(kind))
        yield Finding('unknown-component', message, f'{path}.type', suggestion)
        return
    except TypeError as error:
        yield Finding('wrong-type', f'{error}.', f'{path}.type')
        return
    name = kind if isinstance(kind, str) else kind.__name__
    for key, value in arguments.items():
        yield from check_argument(name, key, value, signature, f'{path}.{key}')
    if registry.root in LAYERS:
        return
    injected = INJECTED.get(registry.root.name, frozenset()) | given_later | arguments.keys()
    for argument in signature.arguments.values():
        if argument.required and argument.name not in injected:
            yield Finding('missing-argument', f"{name} needs the argument '{argument.name}'.", path)


def find_signature(kind: Any, registry: Registry) -> Signature:
    """The signature behind a ``type``: a name, a class or a function.

    Raises:
        RegistryError: The registry does not have the name.
        TypeError: ``kind`` is none of the three.
    """
    if not isinstance(kind, str):
        if callable(kind):
            return signature_of(kind)
        raise TypeError(f'a type is a name, a class or a function, not {kind!r}')
    user = registry.user_component(kind)
    if user is not None:
        return signature_of(user.target)
    entry = registry.entry(kind)
    if entry is None:
        raise RegistryError(kind)
    return static_signature(entry.module, entry.target)


def check_argument(component: str, key: str, value: Any, signature: Signature, path: str) -> Iterator[Finding]:
    """Whether ``component`` takes an argument ``key``, and with such a value."""
    argument = signature.arguments.get(key)
    if argument is None and key != 'requires_grad':  # every norm config may freeze its layer
        if not signature.is_open:
            accepts = ', '.join(signature.arguments) or 'none'
            message = f"{component} has no argument '{key}'. It accepts: {accepts}."
            yield Finding('unknown-argument', message, path, closest(key, signature.arguments))
    elif argument is not None and not fits(value, argument.annotation):
        yield wrong_type(f"{component} needs '{key}'", value, argument, path)


def wrong_type(subject: str, value: Any, argument: Argument, path: str) -> Finding:
    """The finding that a value does not fit its annotation."""
    suggestion = closest(value, literals(argument.annotation)) if isinstance(value, str) else None
    return Finding('wrong-type', f'{subject} to be {argument.annotation}, not {value!r:.80}.', path, suggestion)
