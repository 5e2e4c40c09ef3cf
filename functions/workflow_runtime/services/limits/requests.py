"""Limiters as people see and set them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import HORIZON_MS, MICROS, Budget, Limiter, Rate
from workflow_runtime.ports import Clock
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.arithmetic import Gauge, number
from workflow_runtime.services.limits.budgets import Budgets
from workflow_runtime.services.limits.explaining import LINE_SHOWN_MAX, expected_start, whole_gauge
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.looks import Looks
from workflow_runtime.storage.limiters import LimiterName, Rule
from workflow_runtime.storage.stores import Stores

UNITS = ((1_000, "s"), (60_000, "min"), (3_600_000, "h"), (86_400_000, "day"))


class Limits:
    """All raise `RetryableError`, and `RequestError`: ``not_found`` for a limiter that nobody has declared or set."""

    def __init__(self, clock: Clock, stores: Stores, lines: Lines, looks: Looks, budgets: Budgets) -> None:
        self._clock = clock
        self._store = stores.limiters
        self._lines = lines
        self._looks = looks
        self._budgets = budgets

    def list(self) -> Sequence[dict[str, Json]]:
        """All limiters, without their lines."""
        return [_rule_json(rule) for rule in sorted(self._store.rules(), key=lambda rule: rule.name)]

    def get(self, name: str) -> dict[str, Json]:
        """A limiter, with what is taken of it and who waits: for each value of its key that anybody has waited for."""
        rule = self._rule(name)
        limiter = rule.limiter or Limiter()
        names = self._store.values_of(name)
        if not limiter.key:
            names = [LimiterName(name), *names]
        gauges = [(one, whole_gauge(self._store, one, limiter)) for one in names]
        return {**_rule_json(rule), "gauges": [self._gauge_json(one, gauge, rule) for one, gauge in gauges]}

    def put(self, name: str, fields: Mapping[str, Json]) -> dict[str, Json]:
        """Set a limiter, over what a file declares of it, in force within seconds. ``fields`` as in a file, or
        ``paused``: True, and nothing begins that takes of it; False, and things begin again. Raises `RequestError`
        (``invalid_request``)."""
        fields = dict(fields)
        paused = fields.pop("paused", None)
        if fields or paused is None:
            self._store.give(name, _checked(name, fields))
            self._changed(name)
        rule = self._rule(name)
        if paused is not None:
            self._pause(name, rule.limiter or Limiter(), paused=bool(paused))
        return _rule_json(rule)

    def delete(self, name: str) -> dict[str, Json]:
        """Set it no more: what a file declares is in force again; what waits for one that is gone begins."""
        rule = self._rule(name)
        self._store.take_back(name)
        self._changed(name)
        return _rule_json(Rule(name, rule.declared))

    def declare(self, limiters: Mapping[str, Limiter]) -> None:
        """Take over what the deployment's file says of shared limiters."""
        self._store.declare_shared(limiters)
        self._looks.read()

    def declare_fields(self, limits: Mapping[str, Mapping[str, Json]]) -> Sequence[dict[str, Json]]:
        """The same by their fields; all limiters there are then. Raises `RequestError` (``invalid_request``)."""
        self.declare({name: _checked(name, fields) for name, fields in limits.items()})
        return self.list()

    def _pause(self, name: str, limiter: Limiter, *, paused: bool) -> None:
        """What people want first: a pump that finds it otherwise sees to the gates."""
        if paused:
            self._store.pause(name)
        else:
            self._store.resume(name)
        self._looks.read()
        for one in self._all_of(name):
            if paused:
                self._lines.pause(one, limiter)
            else:
                self._lines.open(one)

    def _all_of(self, name: str) -> Sequence[LimiterName]:
        """A limiter itself, and what it is for each value of its key."""
        return [LimiterName(name), *self._store.values_of(name)]

    def _rule(self, name: str) -> Rule:
        rule = self._store.rule(name)
        if rule is None or rule.limiter is None:
            raise RequestError("not_found", f"there is no limiter {name!r}")
        return rule

    def _changed(self, name: str) -> None:
        self._looks.read()
        for one in self._all_of(name):
            if arithmetic.LINE in self._lines.gauge(one):
                self._lines.nudge(one)

    def _gauge_json(self, name: LimiterName, gauge: Gauge, rule: Rule) -> dict[str, Json]:
        now = self._clock.now()
        held = sum(until >= now for until in arithmetic.holders(gauge).values())
        waiters = self._store.line(name, LINE_SHOWN_MAX) if arithmetic.LINE in gauge else ()
        gate = number(gauge, arithmetic.GATE)
        limiter = rule.limiter or Limiter()
        last_start = expected_start(limiter, gauge, now, len(waiters)) if waiters and not rule.paused else 0
        return {
            "key": name.key or None,
            "held": held,
            "waiting": len(waiters),
            "more": len(waiters) == LINE_SHOWN_MAX,
            "waiting_by_tenant": dict(Counter(waiter.tenant for waiter in waiters)),
            "oldest_since": iso_time(min(waiter.since for waiter in waiters)) if waiters else None,
            "last_start": iso_time(last_start) if last_start else None,
            "paused": rule.paused or arithmetic.is_paused(gauge),
            "closed_until": iso_time(gate) if now < gate < arithmetic.PAUSED else None,
            "budget": self._budget_json(name, limiter),
        }

    def _budget_json(self, name: LimiterName, limiter: Limiter) -> Json:
        if limiter.budget is None:
            return None
        budget, drawn, ends_at = self._budgets.spent(name, limiter)
        amounts: dict[str, Json] = {}
        if budget.micros:
            amounts["usd"] = {"limit": budget.micros / MICROS, "drawn": drawn.micros / MICROS}
        if budget.tokens:
            amounts["tokens"] = {"limit": budget.tokens, "drawn": drawn.tokens}
        return {**amounts, "ends_at": iso_time(ends_at)}


def _checked(name: str, fields: Mapping[str, Json]) -> Limiter:
    """The limiter that these fields are. Raises `RequestError` (``invalid_request``)."""
    from workflow_runtime.definition.limits import limiter_of  # of those that ask the API, few set limiters

    return limiter_of(fields, name)


def limiter_json(limiter: Limiter) -> dict[str, Json]:
    """The fields of a limiter, as a file has them."""
    fields: dict[str, Json] = {}
    if limiter.requests is not None:
        fields["requests"] = rate_text(limiter.requests)
    if limiter.tokens is not None:
        fields["tokens"] = rate_text(limiter.tokens)
    if limiter.concurrency:
        fields["concurrency"] = limiter.concurrency
    if limiter.burst:
        fields["burst"] = limiter.burst
    if limiter.horizon_ms != HORIZON_MS:
        fields["horizon"] = limiter.horizon_ms / 1000
    if limiter.key:
        fields["key"] = limiter.key
    if limiter.weight != 1:
        fields["weight"] = limiter.weight
    if limiter.budget is not None:
        fields["budget"] = _budget_fields(limiter.budget)
    return fields


def _budget_fields(budget: Budget) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    if budget.micros:
        fields["usd"] = rate_text(Rate(budget.micros, budget.window_ms), MICROS)
    if budget.tokens:
        fields["tokens"] = rate_text(Rate(budget.tokens, budget.window_ms))
    said = {"reserve": ("worst", "expected")[budget.expected], "on_exceeded": budget.on_exceeded,
            "unknown_price": ("refuse", "tokens")[budget.tokens_suffice]}  # fmt: skip
    return {**fields, **{name: word for name, word in said.items() if word not in ("worst", "fail", "refuse")}}


def rate_text(rate: Rate, units: int = 1) -> str:
    """``60/min``, as a file says it. ``units``: how many of what is counted one of them is."""
    whole = [(rate.milliseconds // length, unit) for length, unit in UNITS if rate.milliseconds % length == 0]
    count, unit = whole[-1] if whole else (rate.milliseconds / 1000, "s")
    return f"{rate.units / units:.15g}/{'' if count == 1 else f'{count:g}'}{unit}"


def _rule_json(rule: Rule) -> dict[str, Json]:
    limiter = rule.limiter or Limiter()
    declared = limiter_json(rule.declared) if rule.declared is not None and rule.given is not None else None
    return {"name": rule.name, "source": "set" if rule.given is not None else "declared", **limiter_json(limiter),
            **({"declared": declared} if declared is not None else {})}  # fmt: skip
