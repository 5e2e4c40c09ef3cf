"""What becomes of a node that fails: attempts after the first, and rules by the type of the error."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

BUDGET_EXCEEDED = "budget_exceeded"
NEVER_BY_DEFAULT = frozenset(
    {"rejected", "not_allowed", BUDGET_EXCEEDED, "tool_changed", "replay_diverged", "effect_unknown", "cancelled"}
)
"""Error types for which another attempt would end the same way, or be wrong; retried only where a policy names them."""

_NOT_EXECUTION_ERRORS = frozenset({"timeout", "cancelled"})


def covers(types: Collection[str], type: str) -> bool:
    """Whether an error of this ``type`` is among ``types``. ``*`` stands for all, ``execution_error`` for all but
    `timeout` and `cancelled`.
    """
    return "*" in types or type in types or ("execution_error" in types and type not in _NOT_EXECUTION_ERRORS)


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Up to ``max_retries`` more attempts after errors of these types. Delays are in seconds.

    ``backoff`` is exponential (times ``factor`` with each attempt), linear or fixed. ``jitter``: each delay is spread
    at random between zero and its length. ``fresh``: whether an agent's next attempt forgets the steps of those before;
    None: that depends on the error.
    """

    max_retries: int = 3
    delay: float = 1.0
    backoff: str = "exponential"
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: bool = True
    errors: tuple[str, ...] = ("*",)
    exclude_errors: tuple[str, ...] = ()
    fresh: bool | None = None

    def retries(self, type: str, named: Collection[str] = ()) -> bool:
        """Whether errors of this type are its business. ``named``: types that whoever has the policy names, too."""
        if covers(self.exclude_errors, type) or not covers(self.errors, type):
            return False
        return type not in NEVER_BY_DEFAULT or type in self.errors or type in named

    @property
    def longest_delay(self) -> float:
        """Seconds that the longest of its delays may take; 0: it grants no retry."""
        return max((self.delay_before(retry) for retry in range(1, self.max_retries + 1)), default=0.0)

    def delay_before(self, retry: int) -> float:
        """Seconds before a retry (1 is the first), jitter apart."""
        delay = min(self.delay, self.max_delay)
        if self.backoff == "linear":
            return min(self.delay * retry, self.max_delay)
        for _ in range(retry - 1 if self.backoff == "exponential" else 0):
            delay = min(delay * self.factor, self.max_delay)
        return delay


class CallTerms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a call of an agent is made that is a node of its own: in which worker ``pool`` ("": that of its type), in
    which time (``timeout_seconds``, of each attempt), with which ``retry`` policies."""

    pool: str = ""
    timeout_seconds: float | None = None
    retry: tuple[RetryPolicy, ...] = ()


class ErrorRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a failure by these error types means to the graph.

    ``do`` is fail (on to whoever is asked next), skip (the node's edges are dead), continue (they are alive, its output
    is null) or call (they are dead, and the node ``target`` runs).
    """

    do: str
    errors: tuple[str, ...] = ("*",)
    target: int = -1


class Handler(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the workflow does about errors of these types in any node that it is for, once the node has done what it
    can.

    ``do`` is retry (with the policy ``retry``), fallback (a node of the graph runs in its place), skip, continue, fail
    (no other handler is asked), compensate (it fails, and what succeeded is undone) or escalate (a person decides).
    """

    do: str
    errors: tuple[str, ...] = ("*",)
    retry: RetryPolicy | None = None


class NodeHandler(msgspec.Struct, frozen=True, array_like=True):
    """A handler that is for a node: its number in the plan; of a fallback, the node that runs."""

    number: int
    target: int = -1


class Compensation(msgspec.Struct, frozen=True, omit_defaults=True):
    """When the visits that succeeded are undone, and in what order: ``reverse`` to that of their completion, one after
    the other, or all in ``parallel``.
    """

    on: tuple[str, ...] = ("failure", "cancel", "timeout")
    order: str = "reverse"


BY_DEFAULT = Compensation()
"""Of a workflow that says nothing; its plan says nothing either."""


def rule_for(rules: tuple[ErrorRule, ...], type: str) -> ErrorRule | None:
    """The first rule for errors of this type."""
    return next((rule for rule in rules if covers(rule.errors, type)), None)
