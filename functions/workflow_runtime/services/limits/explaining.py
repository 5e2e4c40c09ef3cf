"""What is known of somebody who waits in the line of a limiter, or for others to settle what they have reserved of a
budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from workflow_runtime.engine.waiting import Cause
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Clock
from workflow_runtime.services.limits import accounts, arithmetic
from workflow_runtime.services.limits.accounts import Balance, dollars, tokens_text
from workflow_runtime.services.limits.arithmetic import Gauge, number
from workflow_runtime.services.limits.budgets import PATIENCE_SECONDS
from workflow_runtime.services.limits.starts import start_place
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import LimiterName, LimiterStore, Waiter, holder_of
from workflow_runtime.storage.records import Header, Run, RunStatus
from workflow_runtime.storage.stores import Stores

LINE_SHOWN_MAX = 1_000  # waiters looked at; beyond, there are "more"


class LineViews:
    def __init__(self, clock: Clock, store: LimiterStore) -> None:
        self._clock = clock
        self._store = store

    def of_run(self, run: Run | None) -> dict[str, Any]:
        """Fields of `why.Waiting` for a run that waits for a limiter; none for any other."""
        if run is None or run.status is not RunStatus.WAITING:
            return {}
        return self._of(LimiterName(run.limiter, run.limiter_key), run.place)

    def of_start(self, plan: Plan, header: Header) -> dict[str, Any]:
        """The same for an execution that has not begun."""
        found = start_place(plan, header)
        return self._of(*found) if found is not None and self._store.standing(found[0], [found[1]]) else {}

    def _of(self, name: LimiterName, place: str) -> dict[str, Any]:
        if name.is_freeze:
            moves = "it was thawed; its message is on its way"
            return {"waiting_on": Cause.FROZEN, "on": (name.key,), "since": int(place.split("#")[2]), "moves": moves}
        rule = self._store.rule(name.name)
        limiter = rule.limiter if rule is not None else None
        gauge = whole_gauge(self._store, name, limiter or Limiter())
        line = self._store.line(name, LINE_SHOWN_MAX)
        number_in_line = place_in_line(line, place)
        return {
            "waiting_on": Cause.LIMITER,
            "on": (str(name),),
            "since": int(place.split("#")[2]),
            "until": expected_start(limiter, gauge, self._clock.now(), number_in_line) if limiter is not None else 0,
            "moves": in_line_text(name, gauge, number_in_line, len(line)),
        }


class BudgetViews:
    def __init__(self, stores: Stores) -> None:
        self._executions = stores.executions
        self._budgets = stores.budgets

    def of_runs(self, header: Header, runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
        """By path, fields of `why.Waiting` for those of the runs that wait for others to settle: whose budget it is may
        be said by the execution itself, or by one that awaits it."""
        found: dict[str, dict[str, Any]] = {}
        missing = {accounts.WAITS + holder_of(header.execution_id, run.path, run.serial): run.path for run in runs}
        payer: Header | None = header
        while payer is not None and missing:
            balance = self._budgets.balance(keys.budget(payer.execution_id))
            for name in missing.keys() & balance.keys():
                since, _, of = str(balance[name]).partition("/")
                found[missing.pop(name)] = {
                    "waiting_on": Cause.BUDGET,
                    "on": (of,),
                    "since": int(since),
                    "until": int(since) + sum(PATIENCE_SECONDS) * 1000,
                    "moves": settled_text(of, balance),
                }
            parent = payer.parent.payer if payer.parent is not None else ""
            payer = self._executions.header(parent) if parent else None
        return found


def settled_text(of: str, balance: Balance) -> str:
    """What would move a run that waits for others."""
    reserved = accounts.reserved(balance)
    money = f"{dollars(reserved.micros)}, " if reserved.micros else ""
    much = f"{money}{tokens_text(reserved.tokens)}"
    return (
        f"others settle what they have reserved ({much}) of the budget of {of}; if they use it up, this one is refused"
    )


def whole_gauge(store: LimiterStore, name: LimiterName, limiter: Limiter) -> Gauge:
    """Of all its shards, if it is divided."""
    gauges = store.gauges_of([name.at(shard) for shard in range(limiter.shards)])
    return arithmetic.merged(list(gauges.values()))


def expected_start(limiter: Limiter, gauge: Gauge, now: int, place: int) -> int:
    """When whoever has this place (1: the first) in the line is expected to begin (epoch ms), as far as rates say. 0:
    they do not, or it is paused."""
    if limiter.requests is None or arithmetic.is_paused(gauge):
        return 0
    start = max(now * 1000, number(gauge, arithmetic.REQUESTS_BOOKED)) + limiter.requests.spacing(max(place - 1, 0))
    return max(start // 1000, number(gauge, arithmetic.GATE))


def in_line_text(name: LimiterName, gauge: Gauge, number_in_line: int, length: int) -> str:
    """What would move a waiter with this place in the line (0: it is its turn already)."""
    if not number_in_line:
        return f"it is its turn at `{name}`; its message is on its way"
    if arithmetic.is_paused(gauge):
        return f"`awr limits resume {name.name}`: it is paused"
    where = f"place {number_in_line} of {length}{'+' if length == LINE_SHOWN_MAX else ''} in the line of `{name}`"
    held = len(arithmetic.holders(gauge))
    return f"{where}{f', of which {held} slots are taken' if held else ''}; `awr limits set {name.name}` changes it"


def place_in_line(waiters: Sequence[Waiter], place: str) -> int:
    """Which one of these it is, from 1; 0: none of them."""
    return next((index for index, waiter in enumerate(waiters, 1) if waiter.place == place), 0)
