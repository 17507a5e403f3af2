"""AutoAugment and RandAugment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from intarsia.core.arguments import signature_of
from intarsia.core.errors import closest
from intarsia.core.registries import TRANSFORMS
from intarsia.data.transforms.transform import Compose, Results, Transform
from intarsia.tasks.classification.transforms.policies import AUTO_AUGMENT_POLICIES, RAND_AUGMENT_POLICIES

Node = Mapping[str, Any]
_TASK = 'classification'


@TRANSFORMS.register_module()
class AutoAugment(Transform):
    """Take one of several lists of steps at random.

    From "AutoAugment: Learning Augmentation Policies from Data", Cubuk et al., 2018, arXiv:1805.09501.

    Args:
        policies: Lists of config nodes, or the name of a known one (``'imagenet'``).
        hparams: Arguments for those steps that take them and do not set them; ``dict(pad_val=128)`` if not given.
    """

    def __init__(self, policies: str | Sequence[Sequence[Node]], hparams: Mapping[str, Any] | None = None) -> None:
        self.policies: Sequence[Sequence[Node]] = _named(policies, AUTO_AUGMENT_POLICIES)
        self.hparams = {'pad_val': 128} if hparams is None else dict(hparams)
        self._branches = [
            Compose([_with_defaults(node, self.hparams) for node in policy], _TASK) for policy in self.policies
        ]

    def draw(self, rng: np.random.Generator) -> int:
        """Which list is taken."""
        return int(rng.integers(len(self._branches)))

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Run the steps of one list."""
        return self._branches[self.draw(rng)](results, rng)


@dataclass(frozen=True)
class ScaledStep:
    """A step whose strength follows the magnitude level.

    Attributes:
        kind: The class of the step.
        arguments: Its fixed arguments.
        key: The argument that sets the strength, or None if it has none.
        span: Its values at level 0 and at the total level.
    """

    kind: Callable[..., Any]
    arguments: dict[str, Any]
    key: str | None = None
    span: tuple[float, float] = (0.0, 0.0)

    def strength(self, share: float) -> float:
        """Value of the argument at ``share`` (0 to 1) of the total level."""
        start, end = self.span
        return share * (end - start) + start

    def build(self, share: float) -> Any:
        """The step at that strength."""
        if self.key is None:
            return self.kind(**self.arguments)
        return self.kind(**self.arguments, **{self.key: self.strength(share)})


@TRANSFORMS.register_module()
class RandAugment(Transform):
    """Take some of several steps at random, all at about one strength.

    From "RandAugment: Practical automated data augmentation with a reduced search space", Cubuk et al., 2019,
    arXiv:1909.13719.

    Args:
        policies: Config nodes, or the name of a known list (``'timm_increasing'``, ``'simple_increasing'``). The
            argument ``magnitude_key`` of a node's step goes from the first number of ``magnitude_range`` (level 0) to
            the second (``total_level``), straight.
        num_policies: How many steps are taken, drawn with replacement.
        magnitude_level: The level.
        magnitude_std: Standard deviation of the level, which is kept within 0 and ``total_level``; ``'inf'`` draws it
            uniformly from 0 to ``magnitude_level``.
        total_level: The greatest level.
        hparams: Arguments for those steps that take them and do not set them; ``dict(pad_val=128)`` if not given.
    """

    def __init__(
        self,
        policies: str | Sequence[Node],
        num_policies: int,
        magnitude_level: float,
        magnitude_std: float | Literal['inf'] = 0.0,
        total_level: float = 30,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        if num_policies <= 0 or magnitude_level < 0 or total_level <= 0:
            raise ValueError(
                'RandAugment needs num_policies > 0, magnitude_level >= 0 and total_level > 0, '
                f'not {num_policies}, {magnitude_level}, {total_level}'
            )
        if isinstance(magnitude_std, str) and magnitude_std != 'inf':
            raise ValueError(f"magnitude_std is a number or 'inf', not {magnitude_std!r}")
        self.policies: Sequence[Node] = _named(policies, RAND_AUGMENT_POLICIES)
        self.num_policies = num_policies
        self.magnitude_level = magnitude_level
        self.magnitude_std = magnitude_std
        self.total_level = total_level
        self.hparams = {'pad_val': 128} if hparams is None else dict(hparams)
        self._steps = [_scaled_step(node, self.hparams) for node in self.policies]

    def draw(self, rng: np.random.Generator) -> list[tuple[ScaledStep, float]]:
        """The steps to take, each with its share of the total level."""
        chosen = rng.integers(len(self._steps), size=self.num_policies)
        return [(self._steps[i], self._draw_level(rng) / self.total_level) for i in chosen]

    def __call__(self, results: Results, rng: np.random.Generator) -> Results | None:
        """Draw the steps, and run them."""
        return Compose([step.build(share) for step, share in self.draw(rng)], _TASK)(results, rng)

    def _draw_level(self, rng: np.random.Generator) -> float:
        if isinstance(self.magnitude_std, str):
            return rng.uniform(0, self.magnitude_level)
        if self.magnitude_std > 0:
            return float(np.clip(rng.normal(self.magnitude_level, self.magnitude_std), 0, self.total_level))
        return self.magnitude_level


def _named(policies: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(policies, str):
        if policies not in known:
            close = closest(policies, known)
            hint = f" Did you mean '{close}'?" if close else ''
            raise ValueError(f'known policies are {", ".join(known)}, not {policies!r}.{hint}')
        return known[policies]
    if not policies:
        raise ValueError('a list of policies has at least one')
    return policies


def _with_defaults(node: Node, hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The node, with those ``hparams`` that its step takes and it does not set."""
    kind = node.get('type')
    target = TRANSFORMS.of(_TASK).get(kind) if isinstance(kind, str) else kind
    accepted = signature_of(target).arguments
    unset = {key: value for key, value in hparams.items() if key in accepted and node.get(key) is None}
    return {**node, **unset}


def _scaled_step(node: Node, hparams: Mapping[str, Any]) -> ScaledStep:
    arguments = _with_defaults(node, hparams)
    kind = arguments.pop('type')
    if isinstance(kind, str):
        kind = TRANSFORMS.of(_TASK).get(kind)
    span = arguments.pop('magnitude_range', None)
    key = arguments.pop('magnitude_key', None) or (getattr(kind, 'strength', None) if span else None)
    if key is not None and (span is None or len(span) != 2):
        raise ValueError(f'RandAugment: {kind.__name__} needs magnitude_range, two numbers, for {key}')
    step = ScaledStep(kind, arguments, key, tuple(span) if span else (0.0, 0.0))
    probe = arguments if key is None else {**arguments, key: step.strength(0.0)}
    TRANSFORMS.of(_TASK).build({'type': kind, **probe})  # a wrong argument is reported now, not in a worker
    return step
