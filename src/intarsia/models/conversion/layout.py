"""How another library lays out the weights of a network, and how that becomes ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from intarsia.core.errors import CheckpointError

State = dict[str, Tensor]
Target = str | Callable[[re.Match[str]], str] | None

LAST = r'(?P<last>(?:\.(?:weight|bias|running_mean|running_var|num_batches_tracked))?)'
"""What a rule leaves as it is: the entry of a layer."""

HEAD = 'head.'
"""Names that begin so belong to the classifier's head; all others to its backbone."""


@dataclass(frozen=True)
class Layout:
    """The weights of a family of networks, as one library names them.

    Attributes:
        name: What messages call the family.
        models: Our backbones that take them.
        marks: Patterns of whole keys; a state dict that has a key for each is of this family.
        rules: Pairs (pattern of a layer's name, our name for it); the first that fits counts. A name of ours begins
            with ``head.`` or is within the backbone; None leaves an entry out, for ours computes it.
        prepare: What happens to tensors first, under their own names.
        note: What is not in the weights: how to build the model, where outputs differ.
    """

    name: str
    models: tuple[str, ...]
    marks: tuple[str, ...]
    rules: tuple[tuple[str, Target], ...]
    prepare: Callable[[State], State] = dict
    note: str = ''

    def fits(self, keys: Sequence[str]) -> bool:
        """Whether a state dict with these keys is of this family."""
        return all(any(re.fullmatch(mark, key) for key in keys) for mark in self.marks)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """The weights of a classifier of ours: ``backbone.`` and ``head.``.

        Args:
            state: Weights by their names in the other library; not changed.
        """
        converted = Converted(self)
        for key, value in self.prepare(dict(state)).items():
            name = self._name(key)
            if name is None:
                converted.dropped.append(key)
            elif name == '':
                converted.left_over.append(key)
            else:
                name = name if name.startswith(HEAD) else f'backbone.{name}'
                converted.state[name] = value
                converted.renamed[key] = name
        return converted

    def _name(self, key: str) -> str | None:
        """Our name of an entry; None if it is left out, empty if no rule knows it."""
        for pattern, target in self.rules:
            match = re.fullmatch(pattern + LAST, key)
            if match:
                name = match.expand(target) if isinstance(target, str) else target(match) if target else None
                return name and name + match['last']
        return ''


class Converted:
    """What a conversion gave.

    Attributes:
        layout: The family.
        state: Weights by our names.
        renamed: Their name -> ours.
        dropped: Entries that ours computes by itself.
        left_over: Entries that nothing of ours takes.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.state: State = {}
        self.renamed: dict[str, str] = {}
        self.dropped: list[str] = []
        self.left_over: list[str] = []


def is_known(state: Mapping[str, Tensor], layouts: Mapping[str, Sequence[Layout]]) -> bool:
    """Whether a state dict is of one of the families of these libraries."""
    return any(each.fits(list(state)) for families in layouts.values() for each in families)


def choose_layout(state: Mapping[str, Tensor], layouts: Mapping[str, Sequence[Layout]]) -> tuple[str, Converted]:
    """The library a state dict is of, and what becomes of it.

    Args:
        state: Weights by their names in the other library; not changed.
        layouts: Families by library; that counts which leaves least over.

    Raises:
        CheckpointError: None fits; the message lists those there are.
    """
    keys = list(state)
    found = [
        (library, each.convert(state)) for library, families in layouts.items() for each in families if each.fits(keys)
    ]
    if found:
        return min(found, key=lambda pair: len(pair[1].left_over))
    known = '; '.join(f'{name}: {", ".join(each.name for each in families)}' for name, families in layouts.items())
    raise CheckpointError(
        f'these weights are of no network that is known here; their first entries are {", ".join(keys[:4])}. '
        f'Known are those of {known}'
    )
