"""What an evaluation may read, and what it has left to spend."""

from __future__ import annotations

from typing import Final

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.limits import (
    CHARACTERS_PER_STEP_SHIFT,
    DOUBTS_MAX,
    MEMORY_BYTES_MAX,
    RESULT_BYTES_MAX,
    STEPS_MAX,
    TEMPLATE_STEPS_MAX,
    VALUE_BYTES,
)
from workflow_runtime.language.json_values import Json


class Missing:
    """Type of `MISSING`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""What a path that leads nowhere yields inside this package; readers get null."""


class Scope:
    """Names and their values for one or more evaluations, one after the other.

    ``names``: values by root name; they are read, never changed. ``now_ms`` (epoch milliseconds) stands in for
    ``now`` and ``current_time`` when ``names`` does not bind them. ``uuid_seed`` and the count of calls make
    ``uuid()``. ``outputs``: names bound to node outputs, for which ``name.output.rest`` means ``name.rest`` unless
    the value has a key ``output``. ``active_states``: what ``in_state`` asks. ``unresolved`` collects the paths that
    led nowhere, as written, once each; ``doubts`` the comparisons that only their types decided, likewise;
    ``derived`` what templates' expressions made of secrets, each with its source.
    """

    __slots__ = (
        "active_states",
        "bytes_left",
        "derived",
        "doubts",
        "item",
        "memory",
        "names",
        "now_ms",
        "outputs",
        "steps",
        "template_steps",
        "unresolved",
        "uuid_count",
        "uuid_seed",
    )

    def __init__(
        self,
        names: dict[str, Json],
        *,
        now_ms: int = 0,
        uuid_seed: str = "",
        outputs: frozenset[str] = frozenset(),
        active_states: frozenset[str] = frozenset(),
    ) -> None:
        self.names = names
        self.now_ms = now_ms
        self.uuid_seed = uuid_seed
        self.uuid_count = 0
        self.outputs = outputs
        self.active_states = active_states
        self.unresolved: list[str] = []
        self.derived: list[tuple[str, Json]] = []
        self.doubts: list[str] = []
        self.item: Json = None
        self.steps = STEPS_MAX
        self.memory = MEMORY_BYTES_MAX
        self.template_steps = TEMPLATE_STEPS_MAX
        self.bytes_left = RESULT_BYTES_MAX

    def charge(self, steps: int) -> None:
        """Pay for work before it is done. Raises `EvaluationError` when the budget is spent."""
        self.steps -= steps
        if self.steps < 0:
            raise EvaluationError(f"more than {STEPS_MAX:,} steps")

    def charge_text(self, characters: int) -> None:
        """Pay for reading or making that many characters."""
        self.charge(characters >> CHARACTERS_PER_STEP_SHIFT)

    def charge_memory(self, size: int) -> None:
        """Pay for values that are made, in bytes."""
        self.memory -= size
        if self.memory < 0:
            raise EvaluationError(f"more than {MEMORY_BYTES_MAX >> 20} MiB of values on the way")

    def charge_made(self, text: str) -> None:
        """Pay for the memory of a text that was made; none is larger than a result may be."""
        self.memory -= VALUE_BYTES + (len(text) if text.isascii() else 4 * len(text))
        if self.memory < 0:
            self.charge_memory(0)  # says so

    def report_unresolved(self, path: str) -> None:
        if path not in self.unresolved:
            self.unresolved.append(path)

    def report_doubt(self, comparison: str) -> None:
        if comparison not in self.doubts and len(self.doubts) < DOUBTS_MAX:
            self.doubts.append(comparison)
