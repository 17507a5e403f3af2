"""What came of comparing one recorded fixture with what we compute."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """The result of one fixture.

    Attributes:
        built: Whether everything the fixture needs exists here and could be built.
        keys_equal: Whether all recorded names are there (state-dict keys, outputs, meta entries); None if it never
            came to that.
        equal: Whether the values agree within the fixture's tolerance; None if it never came to that.
        max_rel: The greatest deviation, relative as the fixture's kind defines it; None if nothing was measured.
        missing: Names of what does not exist here. A fixture with such names counts as missing, never as equal.
        error: What went wrong, in words; None if nothing did.
    """

    built: bool = False
    keys_equal: bool | None = None
    equal: bool | None = None
    max_rel: float | None = None
    missing: list[str] = field(default_factory=list)
    error: str | None = None
