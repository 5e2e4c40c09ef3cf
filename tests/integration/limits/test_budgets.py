"""Budgets, through the real handlers on a virtual clock: what requests of models reserve, use and may not use."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from msgspec import UNSET
from tests.limits_world import START, Asked, LimitsWorld, fan

from workflow_runtime.plan.limiters import Budget
from workflow_runtime.services.limits.accounts import WAITS, reserved, used

AGENT = "type: agent, agent: a"


def world_of(asks: list[Asked], seconds: float = 1.0, **fields: int) -> LimitsWorld:
    world = LimitsWorld(seconds, **fields)
    world.worker.asks = asks
    return world


def agents(count: int, head: str, fields: str = "on_error: skip") -> str:
    return fan("w", count, fields, head, AGENT)


def test_what_an_execution_used_is_settled_and_nothing_stays_reserved() -> None:
    world = world_of([Asked((100, 100), (80, 20)), Asked((10, 10), (10, 10))])
    world.publish(agents(2, "  budget: {usd: 1, tokens: 1k}\n"))
    execution = world.start("w")
    assert world.run(execution) == "completed"
    balance = world.balance(execution)
    assert used(balance) == (2 * (120 + 30), 2 * (100 + 20))
    assert reserved(balance) == (0, 0)


def test_a_request_that_might_exceed_the_budget_is_not_made() -> None:
    world = world_of([Asked((100, 100), (100, 100))])
    world.publish(fan("w", 3, "when: 'true'", "  budget: {tokens: 500}\n", AGENT))
    execution = world.start("w")
    assert world.run(execution) == "failed"
    error = world.document(execution)["error"]
    assert error["type"] == "budget_exceeded"
    assert "400 tokens of 500 tokens are used or reserved, and it may need 200 tokens" in error["message"]
    assert len(world.worker.paid) == 2


def test_what_others_have_reserved_too_much_is_waited_for() -> None:
    world = world_of([Asked((0, 100), (0, 10))])
    world.publish(agents(8, "  budget: {tokens: 250}\n", "when: 'true'"))
    assert world.run(world.start("w")) == "completed"
    assert len(world.worker.paid) == 8


@pytest.mark.parametrize("seed", range(30))
def test_fifty_nodes_beside_each_other_never_exceed_a_budget_whatever_fails(seed: int) -> None:
    asks = [Asked((50, 100), (40 + seed % 11, 100 - seed)), Asked((200, 50), (200, 50))]
    world = LimitsWorld(lambda call: 1.0 + crc32(call.path.encode()) % 5, failures=20, seed=seed)
    world.worker.asks = asks
    world.publish(
        agents(50, "  limiter: day\n  budget: {usd: 0.01, tokens: 11k}\n  limits: {day: {budget: {usd: 0.006/day}}}\n")
    )
    execution = world.start("w")
    assert world.run(execution) == "completed"
    world.failures = 0
    made = [asked for _, _, asked in world.worker.paid]
    assert sum(asked.spent.input_tokens + asked.spent.output_tokens for asked in made) <= 11_000
    assert sum(asked.spent.micros or 0 for asked in made) <= 6_000
    assert used(world.balance(execution))[1] <= 11_000
    assert world.drawn("w/day")[0] <= 6_000
    assert len(made) >= 12, "most of the budget was used"


@pytest.mark.parametrize("nested", [False, True])
def test_why_tells_who_waits_for_others_to_settle_and_for_how_long_at_most(nested: bool) -> None:
    world = world_of([Asked((0, 100), (0, 10))], 8.0)
    budget = "  budget: {tokens: 150}\n"
    world.publish(fan("w", 2, "when: 'true'", "" if nested else budget, AGENT))
    world.publish(f"workflow:\n  id: p\n{budget}  nodes: [{{id: c, type: sub_workflow, workflow_id: w}}]\n")
    execution = world.start("p" if nested else "w")
    seen: list[Any] = []

    def look() -> None:
        why = world.services.explanations.why(execution, 10)
        seen.extend(world.services.explanations.why(why.waits[0].on[0], 10).waits if nested else why.waits)

    world.play((5_000, look), (60_000, lambda: None))
    assert world.document(execution)["status"] == "completed"
    (waiting,) = [one for one in seen if one.waiting_on == "budget"]
    assert waiting.on[0].startswith("the execution")
    assert (waiting.since, waiting.until) == (START, START + 60_000)
    assert "others settle what they have reserved ($0.0002, 100 tokens) of the budget of the execution" in waiting.moves
    assert [name for name in world.balance(execution) if name.startswith(WAITS)] == []


def test_why_and_the_document_tell_that_people_are_asked_for_more_of_a_budget() -> None:
    world = world_of([Asked((99, 1), (99, 1))] * 2)
    world.publish(fan("w", 1, "when: 'true'", ASKS, AGENT))
    execution = world.start("w")
    world.play((30_000, lambda: None))
    (waiting,) = world.services.explanations.why(execution, 10).waits
    assert waiting.waiting_on == "budget"
    assert "an answer of whoever may call the API to the approval" in waiting.moves
    assert waiting.moves.endswith("whether it may have more of its budget")
    assert world.document(execution)["node_executions"]["n0"]["waiting_on"] == "budget"


def test_a_dead_worker_s_request_counts_as_all_that_it_had_reserved() -> None:
    world = world_of([Asked((100, 100), (1, 1))], 30.0)
    world.publish(fan("w", 1, "retry_policy: {max_retries: 0}", "  budget: {tokens: 1k}\n", AGENT))
    execution = world.start("w")
    reservations: list[int] = []

    def dies() -> None:
        reservations.append(reserved(world.balance(execution))[1])

    world.play((10_000, dies))
    assert reservations == [200]


def test_the_tenants_of_a_limiter_have_a_budget_each_of_which_executions_draw_slices() -> None:
    world = world_of([Asked((99, 1), (99, 1))])
    head = "  tenant: '${who}'\n  limiter: day\n  limits: {day: {key: '${tenant}', budget: {tokens: 1k/day}}}\n"
    world.publish(fan("w", 1, "when: 'true'", head, AGENT))
    ends = {who: [world.run(world.start("w", who=who)) for _ in range(count)] for who, count in (("甲", 12), ("乙", 3))}
    assert [ends["甲"].count(status) for status in ("completed", "failed")] == [10, 2]
    assert ends["乙"] == ["completed"] * 3
    assert world.drawn("w/day", "甲")[1] == 1_000
    assert world.drawn("w/day", "乙") == (0, 300)


def test_a_budget_begins_anew_with_its_window() -> None:
    world = world_of([Asked((799, 1), (799, 1))])
    head = "  limiter: hour\n  limits: {hour: {budget: {tokens: 1k/h}}}\n"
    world.publish(fan("w", 1, "when: 'true'", head, AGENT))
    assert [world.run(world.start("w")) for _ in range(2)] == ["completed", "failed"]
    world.play((world.now + 3_600_000, lambda: None))
    assert world.run(world.start("w")) == "completed"


def test_what_an_execution_has_drawn_and_not_used_is_given_back_at_its_end() -> None:
    world = world_of([Asked((99, 1), (29, 1))])
    world.publish(fan("w", 1, "when: 'true'", "  limiter: day\n  limits: {day: {budget: {tokens: 10k/day}}}\n", AGENT))
    assert world.run(world.start("w")) == "completed"
    assert world.drawn("w/day") == (0, 30)


def test_a_draw_is_one_write_for_many_requests() -> None:
    world = world_of([Asked((9, 1), (9, 1))] * 40)
    world.publish(fan("w", 1, "when: 'true'", "  limiter: day\n  limits: {day: {budget: {tokens: 10k/day}}}\n", AGENT))
    execution = world.start("w")
    world.calls.clear()
    assert world.run(execution) == "completed"
    assert world.calls["table.change"] <= 2 * 40 + 6


def test_children_that_are_awaited_spend_their_parent_s_budget() -> None:
    world = world_of([Asked((99, 1), (99, 1))])
    child = fan("child", 2, "when: 'true'", "", AGENT)
    calls = "".join(f"    - {{id: c{index}, type: sub_workflow, workflow_id: child}}\n" for index in range(3))
    world.publish(child, f"workflow:\n  id: parent\n  budget: {{tokens: 500}}\n  nodes:\n{calls}")
    execution = world.start("parent")
    assert world.run(execution) == "failed"
    assert used(world.balance(execution))[1] == 500
    assert len(world.worker.paid) == 5


def test_a_visit_has_a_budget_of_its_own_over_all_its_attempts() -> None:
    world = world_of([Asked((99, 1), (99, 1))] * 2)
    world.worker.of_visit = Budget(tokens=300)
    world.publish(fan("w", 2, "retry_policy: {max_retries: 3, retry_delay: 1s, errors: [execution_error]}", "", AGENT))
    world.worker.raises = lambda _call: RuntimeError("no good")
    execution = world.start("w")
    assert world.run(execution) == "failed"
    assert len(world.worker.paid) == 2 * 3
    assert "this visit of `n" in world.document(execution)["error"]["message"]


def test_a_model_without_a_price_is_refused_where_money_counts_unless_tokens_are_enough() -> None:
    world = world_of([Asked((99, 1), (99, 1), price=0)])
    world.publish(
        fan("w", 1, "when: 'true'", "  budget: {usd: 1}\n", AGENT),
        fan("v", 1, "when: 'true'", "  budget: {usd: 1, unknown_price: tokens}\n", AGENT),
    )
    execution = world.start("w")
    assert world.run(execution) == "failed"
    assert "no price of the model m is known" in world.document(execution)["error"]["message"]
    assert world.run(world.start("v")) == "completed"


def test_what_is_expected_is_reserved_once_enough_answers_are_known() -> None:
    world = world_of([Asked((10, 1_000), (10, 20))])
    world.publish(fan("w", 1, "when: 'true'", "  budget: {tokens: 2k, reserve: expected}\n", AGENT))
    worst = [world.run(world.start("w")) for _ in range(20)]
    assert worst == ["completed"] * 20
    world.publish(fan("v", 30, "when: 'true'", "  budget: {tokens: 1200, reserve: expected}\n", AGENT))
    assert world.run(world.start("v")) == "completed"


def test_requests_of_models_wait_until_the_rate_of_tokens_allows_them() -> None:
    world = world_of([Asked((600, 400), (600, 400))] * 2, 0.1)
    world.publish(fan("w", 3, "limiter: code", "  limits: {code: {tokens: 1k/s}}\n", AGENT))
    assert world.run(world.start("w")) == "completed"
    times = sorted(at for at, _, _ in world.worker.paid)
    assert times[-1] >= 5_000
    assert all(later - at >= 990 for at, later in pairwise(times))


def test_a_request_for_which_a_rate_has_no_time_is_throttled() -> None:
    world = world_of([Asked((600, 400), (600, 400))] * 3)
    world.publish(fan("w", 1, "limiter: code, timeout: 30s", "  limits: {code: {tokens: 1k/min}}\n", AGENT))
    execution = world.start("w")
    assert world.run(execution) == "failed"
    assert world.document(execution)["error"]["type"] == "throttled"


def test_who_has_no_budget_has_no_gate() -> None:
    world = world_of([Asked((1, 1), (1, 1))])
    world.publish(fan("w", 2, "when: 'true'", "", AGENT))
    assert world.run(world.start("w")) == "completed"
    assert world.worker.paid == []


ASKS = "  budget: {tokens: 150, on_exceeded: ask}\n"


@pytest.mark.parametrize(
    ("approved", "data", "status", "limit"),
    [(True, UNSET, "completed", 300), (True, {"tokens": 500}, "completed", 500), (False, UNSET, "failed", 150)],
)
def test_people_are_asked_whether_a_budget_may_have_more(approved: bool, data: Any, status: str, limit: int) -> None:
    world = world_of([Asked((99, 1), (99, 1))] * 2)
    world.publish(fan("w", 1, "when: 'true'", ASKS, AGENT))
    execution = world.start("w")
    asked: list[dict[str, Any]] = []

    def answer() -> None:
        views = world.services.approval_views
        asked.extend(views.get(one["id"]) for one in views.of_execution(execution))
        given = {} if data is UNSET else {"data": data}
        world.services.approvals.answer(asked[0]["id"], approved, by="ann", comment="so", **given)

    world.play((30_000, answer), (100_000, lambda: None))
    assert [(one["kind"], one["data"], one["status"]) for one in asked] == [("budget", {"tokens": 300}, "open")]
    assert "100 tokens of 150 tokens are used or reserved, and it may need 100 tokens" in asked[0]["prompt"]
    document = world.document(execution)
    assert document["status"] == status
    assert document["budget"]["tokens"]["limit"] == limit
    if not approved:
        assert "(ann gives it no more: so)" in document["error"]["message"]
