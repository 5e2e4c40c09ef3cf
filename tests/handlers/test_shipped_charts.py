"""The shipped charts, driven to their ends by the outside world: events on the bus, triggers, the API, and time.

On moto, others' events are put with boto3's `put_events` and come by the runtime's own rule and queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.handlers.town import Town, opened

DAY = 24 * 3600
MINUTE = 60


@pytest.fixture(scope="module", params=["embedded", "moto"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    yield from opened(request.param, "order_state_machine", "incident_response", "subscription_lifecycle")


def taken(document: dict[str, Any]) -> list[str]:
    """The events that moved the machine, in order."""
    return [step["event"] for step in document["transitions"] if step["event"] and not step["reason"]]


def published(town: Town, execution_id: str) -> list[str]:
    events = town.bench.backend.bus_events()
    mine = [
        event for event in events if event["detail"].get("workflow_runtime", {}).get("execution_id") == execution_id
    ]
    return [event["detail-type"] for event in mine]


def topics(town: Town, execution_id: str, *names: str) -> list[str]:
    return [name for name in published(town, execution_id) if name in names]


# ── 订单 ──


def test_an_order_is_paid_and_delivered_by_events_of_other_systems(town: Town) -> None:
    order = town.start("order_state_machine", {"order_id": "甲-1", "amount": 259})
    other = town.start("order_state_machine", {"order_id": "甲-2", "amount": 1})
    assert town.states(order) == ["created"]
    town.put("payment.succeeded", {"order_id": "甲-1", "payment_method": "card"}, source="支付")
    assert (town.states(order), town.states(other)) == (["paid"], ["created"])
    town.put("confirm", {"execution_id": order})
    assert town.states(order) == ["confirmed"]
    assert town.send(order, "ship", {"tracking_no": "SF1042"})[0] == 202
    town.put("parcel.updated", {"order_id": "甲-1", "status": "on_the_way"}, source="物流")
    assert town.states(order) == ["shipped"]
    town.put("parcel.updated", {"order_id": "甲-1", "status": "signed"}, source="物流")
    assert town.states(order) == ["delivered"]
    town.wait(7 * DAY)
    document = town.shown(order)
    assert (document["status"], document["current_states"]) == ("completed", ["completed"])
    assert document["output"] == {"order_id": "甲-1", "tracking_no": "SF1042", "reason": None, "refund_id": None}
    assert taken(document) == ["pay", "confirm", "ship", "deliver", "timeout"]
    assert topics(town, order, "order.paid", "order.shipped") == ["order.paid", "order.shipped"]
    assert town.states(other) == ["cancelled"], "nobody paid it"
    assert town.dead() == []


def test_a_return_is_refunded_at_the_second_attempt(town: Town) -> None:
    order = town.start("order_state_machine", {"order_id": "乙", "amount": 10})
    town.put("payment.succeeded", {"order_id": "乙", "payment_method": "alipay"})
    town.put("confirm", {"execution_id": order})
    town.put("ship", {"execution_id": order, "tracking_no": "YT7"})
    town.put("parcel.updated", {"order_id": "乙", "status": "signed"})
    town.send(order, "return", {"reason": "尺码不合"})
    town.put("returned", {"execution_id": order})
    assert town.states(order) == ["refund_failed"], "the mocked channel refuses the first time"
    town.wait(3600)
    document = town.shown(order)
    assert (document["status"], document["current_states"]) == ("completed", ["refunded"])
    assert document["output"] == {"order_id": "乙", "tracking_no": "YT7", "reason": "尺码不合", "refund_id": "RF-乙"}


def test_events_that_come_twice_late_or_for_nobody_do_not_move_an_order(town: Town) -> None:
    order = town.start("order_state_machine", {"order_id": "丙", "amount": 10})
    town.put("payment.succeeded", *[{"order_id": "丙", "payment_method": "wechat"}] * 2)
    town.put("ship", {"execution_id": order, "tracking_no": "早"})
    town.put("no_such_event", {"execution_id": order})
    town.put("payment.succeeded", {"order_id": "nobody's"}, {"amount": 5}, {"order_id": None}, {"order_id": ["丙"]})
    document = town.shown(order)
    assert document["current_states"] == ["paid"]
    refused = [(step["event"], step["reason"]) for step in document["transitions"] if step["reason"]]
    assert refused == [("pay", "no transition for `pay` in paid"), ("ship", "no transition for `ship` in paid")]
    assert document["variables"]["tracking_no"] is None, "what is not taken leaves nothing behind"
    town.send(order, "cancel", {"reason": "不想要了"})
    town.wait(3600)
    assert town.states(order) == ["cancelled"]
    before = town.shown(order)
    town.put("payment.succeeded", {"order_id": "丙", "payment_method": "card"})
    town.put("confirm", {"execution_id": order})
    assert town.send(order, "confirm")[0] == 409
    assert town.shown(order) == before
    assert town.dead() == []


# ── 故障响应 ──


def test_alarms_of_one_service_are_one_incident_that_people_and_time_bring_to_its_end(town: Town) -> None:
    alarm = {"service": "结账", "alert": "支付成功率低于 90%"}
    town.put("alarm.raised", alarm, source="监控")
    [incident] = town.executions("incident_response")
    assert town.states(incident) == ["proposed", "first_line", "communication"]
    town.put("alarm.raised", {**alarm, "alert": "还在继续"}, source="监控")
    assert town.executions("incident_response") == [incident]
    assert taken(town.shown(incident))[-1] == "alarm"
    town.wait(15 * MINUTE)
    assert town.states(incident) == ["proposed", "second_line", "communication"]
    town.put("acknowledge", {"execution_id": incident, "by": "李雷"})
    town.wait(15 * MINUTE)
    assert topics(town, incident, "incident.status") == ["incident.status"]
    town.send(incident, "approve", {"by": "李雷"})
    assert town.states(incident) == ["proposed", "acknowledged", "communication"], "the first plan did not help"
    town.put("approve", {"execution_id": incident, "by": "韩梅梅"})
    assert town.states(incident) == ["review"]
    town.put("sign", {"execution_id": incident, "by": "韩梅梅"})
    document = town.shown(incident)
    assert (document["status"], document["current_states"]) == ("completed", ["closed"])
    output = document["output"]
    assert (output["severity"], output["acknowledged_by"], output["approved_by"]) == ("critical", "李雷", "韩梅梅")
    assert output["report"]["by"] == "韩梅梅"
    town.put("alarm.raised", {"service": "结账", "alert": "又来了"}, source="监控")
    assert len(town.executions("incident_response")) == 2, "the last one ended: this is another incident"
    assert town.dead() == []


def test_two_services_have_incidents_of_their_own_and_a_false_alarm_ends_one(town: Town) -> None:
    before = set(town.executions("incident_response"))
    town.put("alarm.raised", *({"service": name, "alert": "慢"} for name in ("搜索", "推荐")))
    first, second = set(town.executions("incident_response")) - before
    town.put("false_alarm", {"execution_id": first})
    assert town.states(first) == ["closed"]
    assert town.shown(first)["timers"] == []
    assert town.states(second) == ["proposed", "first_line", "communication"]
    town.wait(46 * MINUTE)
    assert town.states(first) == ["closed"]


# ── 订阅 ──


def test_a_subscription_lives_by_events_of_the_bus_and_by_months(town: Town) -> None:
    member = town.start("subscription_lifecycle", {"customer_id": "丁"})
    town.put("subscribe", {"execution_id": member})
    town.put("upgrade", {"execution_id": member})
    assert town.states(member) == ["in_period", "pro"]
    town.wait(30 * DAY)
    assert town.shown(member)["variables"]["charges"] == 2
    town.wait(10 * DAY)
    town.put("pause", {"execution_id": member})
    assert town.states(member) == ["paused"]
    town.wait(90 * DAY)
    town.send(member, "resume")
    assert town.states(member) == ["in_period", "pro"], "the plan from before the pause"
    left = town.shown(member)["variables"]["remaining"]
    assert 20 * DAY - 60 <= left <= 20 * DAY + 60
    town.put("cancel", {"execution_id": member})
    assert town.states(member) == ["ending"]
    town.wait(20 * DAY + 60)
    document = town.shown(member)
    assert (document["status"], document["current_states"]) == ("completed", ["ended"])
    assert (document["output"]["plan"], document["output"]["charges"]) == ("pro", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", document["output"]["paid_until"])
    renewed = topics(town, member, "subscription.renewed")
    assert renewed == ["subscription.renewed"] * 2
    assert town.dead() == []


def test_a_trial_that_nobody_follows_ends_by_itself(town: Town) -> None:
    guest = town.start("subscription_lifecycle", {"customer_id": "戊", "trial": "20m"})
    town.wait(19 * MINUTE)
    assert town.states(guest) == ["trial"]
    town.wait(MINUTE)
    assert town.states(guest) == ["ended"]
    assert topics(town, guest, "subscription.trial_ended") == ["subscription.trial_ended"]
