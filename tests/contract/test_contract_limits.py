"""Gauges and budgets of limiters on every table: what is written on which conditions."""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import pytest
from msgspec.structs import replace

from workflow_runtime.plan.limiters import Budget, Limiter, Rate
from workflow_runtime.ports import ConditionFailed
from workflow_runtime.services.limits.accounts import Account, Amount, Draw, reserved, used
from workflow_runtime.services.limits.arithmetic import Need, holders
from workflow_runtime.services.limits.budgets import Budgets, Lack, Reservation
from workflow_runtime.services.limits.explaining import whole_gauge
from workflow_runtime.services.limits.line import FOREVER, Lines
from workflow_runtime.storage import keys
from workflow_runtime.storage.budgets import BudgetStore
from workflow_runtime.storage.limiters import LimiterName, LimiterStore

DAY_MS = 86_400_000
NAME = LimiterName("客户", "甲/1")
SHARED = Draw(NAME, Budget(tokens=1_000, window_ms=DAY_MS))


class Lossy:
    """A table each of whose changes is made again as if its answer had been lost; who asked hears of the second."""

    def __init__(self, table):
        self._table = table

    def __getattr__(self, name):
        return getattr(self._table, name)

    def change(self, key, change, condition=None):
        with suppress(ConditionFailed):
            self._table.change(key, change, condition)
        return self._table.change(key, change, condition)


@pytest.fixture(params=["answers come", "answers are lost"])
def store(harness, request):
    table = harness.table if request.param == "answers come" else Lossy(harness.table)
    return BudgetStore(table)


@pytest.fixture
def worker(harness, store):
    """Another process, that knows nothing yet. The day has just begun: no test goes on into the next."""
    harness.pass_time((DAY_MS - harness.backend.ports.clock.now() % DAY_MS) // 1000 + 1)
    return lambda: Budgets(harness.backend.ports.clock, store, lambda _name, _value: None)


def account(execution="e1", **fields):
    of = {"key": keys.budget(execution), "execution_id": execution, "of": "the execution"}
    return Account(**{"budget": Budget(tokens=500), "draws": (SHARED,), **of, **fields})


def test_a_request_is_reserved_and_settled_once_however_often_that_is_said(store, worker):
    mine = account()
    for budgets in (worker(), worker()):
        found = budgets.reserve(mine, "r.1", Amount(0, 100))
        assert isinstance(found, Reservation)
        assert (used(store.balance(mine.key)), reserved(store.balance(mine.key))) == ((0, 100), (0, 100))
    for budgets in (worker(), worker()):
        budgets.settle(found, Amount(0, 30))
        assert (used(store.balance(mine.key)), reserved(store.balance(mine.key))) == ((0, 30), (0, 0))


def test_no_more_is_reserved_than_its_budget_or_the_limiter_s_allows(harness, store, worker):
    mine, other = account(), account("e2", budget=Budget(tokens=900))
    assert isinstance(worker().reserve(mine, "r.1", Amount(0, 450)), Reservation)
    lack = worker().reserve(mine, "r.2", Amount(0, 100))
    assert isinstance(lack, Lack)
    assert (lack.of, lack.used, lack.may_pass) == ("the execution", (0, 450), True)
    assert isinstance(worker().reserve(other, "r.3", Amount(0, 300)), Reservation)
    lack = worker().reserve(other, "r.4", Amount(0, 500))
    assert isinstance(lack, Lack)
    assert lack.of == "the limiter `客户[甲/1]`"
    drawn = store.window(NAME, SHARED.window(harness.backend.ports.clock.now()))
    assert 0 < used(store.balance(drawn)).tokens <= 1_000


def test_what_was_drawn_and_not_used_goes_back_once_and_a_reopened_execution_draws_anew(harness, store, worker):
    mine = account()
    found = worker().reserve(mine, "r.1", Amount(0, 100))
    assert isinstance(found, Reservation)
    worker().settle(found, Amount(0, 40))
    drawn = store.window(NAME, SHARED.window(harness.backend.ports.clock.now()))
    for budgets in (worker(), worker()):
        budgets.close(mine.key, "e1", 1)
        assert used(store.balance(drawn)) == (0, 40)
    lack = worker().reserve(mine, "r.2", Amount(0, 10))
    assert isinstance(lack, Lack)
    assert lack.over
    assert isinstance(worker().reserve(replace(mine, attempt=2), "r.3", Amount(0, 10)), Reservation)
    worker().close(mine.key, "e1", 2)
    assert used(store.balance(drawn)) == (0, 50)


def test_people_raise_a_cap_once(worker):
    mine = account(draws=())
    assert isinstance(worker().reserve(mine, "r.1", Amount(0, 600)), Lack)
    assert [worker().raise_caps(mine, "a", Amount(0, 700)) for _ in range(2)][1] is False
    assert isinstance(worker().reserve(mine, "r.1", Amount(0, 600)), Reservation)


def test_processes_take_of_all_shards_together_no_more_than_there_is(harness):
    limiter, ids = Limiter(concurrency=70), count()
    assert [limiter.part(shard).concurrency for shard in range(limiter.shards)] == [24, 23, 23]
    ports = harness.backend.ports
    store = LimiterStore(ports.table, ports.blobs)
    lease = ports.clock.now() + 900_000
    lines = Lines(ports, store, lambda: f"{next(ids):x}", lambda _name, _value: None)
    granted = {f"h{at}": lines.take(NAME, limiter, Need(f"h{at}", lease)) for at in range(90)}
    held = {holder: grant.shard for holder, grant in granted.items() if grant is not None}
    assert 60 < len(held) <= 70, "of two shards that one tries, both may be full before the third is"
    gauge = whole_gauge(store, NAME, limiter)
    assert (gauge["n"], set(holders(gauge))) == (len(held), set(held))
    for holder in held:
        assert not lines.release_of_any(NAME, limiter, holder)
    assert whole_gauge(store, NAME, limiter)["n"] == 0
    lines.close_until(NAME, limiter, FOREVER)
    assert not any(lines.take(NAME, limiter, Need(f"i{at}", lease)) for at in range(9))


def test_fifty_processes_take_no_more_than_there_is_and_give_back_what_they_took(harness):
    limiter, ids = Limiter(requests=Rate(60, 60_000), concurrency=6, horizon_ms=900_000), count()
    ports = harness.backend.ports
    store = LimiterStore(ports.table, ports.blobs)
    lease = ports.clock.now() + 900_000
    processes = [Lines(ports, store, lambda: f"{next(ids):x}", lambda _name, _value: None) for _ in range(50)]
    granted = [lines.take(NAME, limiter, Need(f"h{at}", lease)) for at, lines in enumerate(processes)]
    held = [at for at, grant in enumerate(granted) if grant is not None]
    assert held == list(range(6))
    assert len({grant.fence for grant in granted if grant is not None}) == 6
    starts = [grant.starts_at - granted[0].starts_at for grant in granted[:6]]
    wanted = [0, 1017, 2034, 3051, 4067, 5084]
    if harness.embedded:
        assert starts == wanted
    else:  # whoever asks a second late begins at once, and all after him later
        assert all(found >= early for found, early in zip(starts, wanted, strict=True))
    for at in held:
        processes[at].release(NAME, f"h{at}")
    assert store.gauge(NAME)["n"] == 0
