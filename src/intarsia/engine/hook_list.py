"""The hooks of a run, in the order of their seats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from intarsia.engine.hook import Hook, StageCall, bound_call
from intarsia.engine.priority import Priority, get_priority
from intarsia.engine.stage import Stage

if TYPE_CHECKING:
    from intarsia.engine.runner import BaseRunner


class HookList:
    """Hooks by priority, and what to call at each stage, worked out once."""

    def __init__(self) -> None:
        self._seats: list[tuple[int, Hook]] = []
        self._calls: dict[Stage, tuple[StageCall, ...]] = dict.fromkeys(Stage, ())
        self._callers: dict[Stage, tuple[Hook, ...]] = dict.fromkeys(Stage, ())

    def __iter__(self) -> Iterator[Hook]:
        """The hooks, in the order they are called."""
        return (hook for _, hook in self._seats)

    def add(self, hook: Hook, priority: int | str | Priority) -> None:
        """Give ``hook`` a seat; among equal priorities it comes last."""
        self._seats.append((get_priority(priority), hook))
        self._seats.sort(key=lambda seat: seat[0])
        for stage in Stage:
            bound = [(hook, call) for hook in self if (call := bound_call(hook, stage)) is not None]
            self._callers[stage] = tuple(hook for hook, _ in bound)
            self._calls[stage] = tuple(call for _, call in bound)

    def call(self, stage: Stage, runner: BaseRunner) -> None:
        """Call every hook that has something to do at ``stage``; what one raises says where it sat."""
        calls = self._calls[stage]
        try:
            for call in calls:
                call(runner)
        except Exception as error:
            place = calls.index(call)
            error.add_note(
                f'raised by {type(self._callers[stage][place]).__name__} at {stage}, hook {place + 1} of {len(calls)}'
            )
            raise

    def table(self) -> str:
        """The hooks by stage, in the order they are called."""
        rows = []
        for stage in Stage:
            names = [
                f'    ({Priority(p).name if p in Priority._value2member_map_ else p:<12}) {type(h).__name__}'
                for p, h in self._seats
                if h in self._callers[stage]
            ]
            rows += [f'{stage}:', *names] if names else []
        return '\n'.join(rows)

    def state_dict(self) -> dict[str, Any]:
        """What hooks must know after a resume, by class name (``'EMAHook'``, ``'EMAHook#2'``)."""
        states = {name: hook.state_dict() for name, hook in self._named() if isinstance(hook, Hook)}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        """Hand every hook the state it had; hooks that had none begin anew."""
        for name, hook in self._named():
            if name in states:
                hook.load_state_dict(states[name])

    def _named(self) -> Iterator[tuple[str, Hook]]:
        seen: dict[str, int] = {}
        for hook in self:
            name = type(hook).__name__
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f'{name}#{seen[name]}'), hook
