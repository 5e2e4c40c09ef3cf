"""Guardrails of calls that have a person decide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.handlers.agents_at_work import AgentBench
from tests.unit.invokers.agents.visits import Scripted


class Till:
    def __init__(self) -> None:
        self.refunds: list[int] = []

    def refund(self, amount: int) -> str:
        self.refunds.append(amount)
        return f"refunded {amount}"


@pytest.fixture
def till() -> Till:
    return Till()


@pytest.fixture
def bench(tmp_path: Path, till: Till) -> Iterator[AgentBench]:
    guardrails = {"tools": {"refund": [{"check": "args.amount <= 100", "on_fail": "human"}]}}
    asked = Scripted([("refund", {"amount": 50}), ("refund", {"amount": 500})], "done")
    opened = AgentBench("embedded", tmp_path, asked, {"refund": till.refund}, guardrails=guardrails)
    yield opened
    opened.close()


@pytest.mark.parametrize(("approved", "refunds"), [(True, [50, 500]), (False, [50])])
def test_a_call_that_does_not_pass_is_made_if_somebody_approves_it(
    bench: AgentBench, till: Till, *, approved: bool, refunds: list[int]
) -> None:
    bench.begin()
    [asked] = bench.asked
    assert (asked["kind"], asked["tool"], till.refunds) == ("tool", "refund", [50])
    bench.answer(asked, approved=approved, by="li")
    assert till.refunds == refunds
    assert bench.output == "done"
