"""F1 on what is shipped: the runtime dies before or after any port call of an execution of any shipped workflow, is
started again on what is there, and the execution ends as if nothing had happened.

``DELIVERY_EVERY_FAULT=crash pytest -n 2 tests/simulation/shipped`` dies at every single call of every story, some 5,400
deaths (half an hour of one processor); otherwise at one of each story.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from tests.simulation.delivery.faults import CRASHES, WANTED, Fault, FaultAt, NoFaults, places
from tests.simulation.shipped.mortal import DEFINITIONS, Act, Story, told

DAY = 24 * 60
PARTS = 8 if WANTED else 1  # of the deaths of a story, each a test of its own, for several processes
STRIDE = 37  # from where the one story dies to where the next does, if nothing else is wanted
CUSTOMER = {"name": "王小明", "level": "金卡"}
TRIP = {"traveller": "李雷", "city": "杭州", "days": 2}
STORIES = {
    "batch_enrichment": Story("batch_enrichment", {"count": 4}),
    "customer_support": Story(
        "customer_support", {"message": "我要投诉，一直没人回复", "customer": CUSTOMER, "channel": "email"}
    ),
    "document_review": Story(
        "document_review",
        {"title": "冬天的茶", "topic": "茶叶", "reviewers": ["李雷"]},
        [Act(10, approve="rounds[0]/review", by="李雷")],
        by_chance=("rounds[0]/review",),
    ),
    "incident_response": Story(
        "incident_response",
        {"service": "checkout", "alert": "支付成功率低于 90%"},
        [
            Act(30, "acknowledge", {"by": "李雷"}),
            Act(32, "approve", {"by": "李雷"}),
            Act(50, "approve", {"by": "李雷"}),
            Act(60, "sign", {"by": "韩梅梅"}),
        ],
        by_chance=("applying/apply",),
    ),
    "order_state_machine": Story(
        "order_state_machine",
        {"order_id": "A-1", "amount": 259},
        [
            Act(5, "pay", {"payment_method": "card"}),
            Act(10, "confirm"),
            Act(15, "ship", {"tracking_no": "SF1042"}),
            Act(20, "deliver"),
        ],
    ),
    "order_state_machine, refunded": Story(
        "order_state_machine",
        {"order_id": "A-5", "amount": 10},
        [Act(5, "pay", {"payment_method": "card"}), Act(10, "cancel", {"reason": "不想要了"})],
    ),
    "parallel_research": Story("parallel_research", {"topic": "电动车"}),
    "publish_document": Story("publish_document", {"title": "冬天的茶", "text": "茶叶怕潮"}, mocks="document_review"),
    "refund_desk": Story("refund_desk", {"customer": "王小明", "message": "订单 A-1001 的耳机坏了，我要退款。"}),
    "subscription_lifecycle": Story(
        "subscription_lifecycle",
        {"customer_id": "C-7", "prices": {"basic": 39, "pro": 99}},
        [
            Act(60, "subscribe"),
            Act(120, "upgrade"),
            Act(40 * DAY, "pause"),
            Act(130 * DAY, "resume"),
            Act(131 * DAY, "cancel"),
        ],
    ),
    "travel_booking": Story("travel_booking", {**TRIP, "card": "6200-0001"}),
    "travel_booking, compensated": Story("travel_booking", {**TRIP, "card": "6200-0002"}, by_chance=("cancel_later",)),
}


@cache
def undisturbed(name: str) -> tuple[str, list[str]]:
    """The outcome without faults, and the port calls that lead to it."""
    faults = NoFaults()
    return told(STORIES[name], faults), faults.calls


def test_there_is_a_story_of_every_shipped_workflow() -> None:
    shipped = {path.stem for path in (DEFINITIONS / "workflows").glob("*.yaml")}
    assert {story.workflow for story in STORIES.values()} == shipped


def deaths(name: str, calls: Sequence[str]) -> list[tuple[Fault, int]]:
    """How and at which of its calls it is to die."""
    all_of = {fault: places(calls, fault, 1) for fault in CRASHES}
    if WANTED:
        return [(fault, place) for fault, every in all_of.items() for place in every]
    number = list(STORIES).index(name)
    fault = CRASHES[number % 2]
    return [(fault, number * STRIDE % len(all_of[fault]))]


@pytest.mark.timeout(0 if WANTED else 180)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", STORIES)
def test_p2_p3_p6_p8_a_crash_at_any_call_changes_no_outcome_of_a_shipped_workflow(name: str, part: int) -> None:
    expected, calls = undisturbed(name)
    for fault, place in deaths(name, calls)[part::PARTS]:
        try:
            assert told(STORIES[name], FaultAt(place, fault)) == expected
        except BaseException as error:
            error.add_note(f"{name}: {fault.value} {place} of {len(calls)}")
            raise
