"""What both passes do: workflows that wait for events and time."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote

import httpx
from tests.e2e.emulator import eventually
from tests.e2e.system import SECRET, System, shipped_input

QUIET_SECONDS = 3
PATIENCE_SECONDS = 120


def start_by_events(system: System) -> None:
    """Only the event that the trigger's filters want starts an execution, and none of the runtime's own does."""
    system.publish("on_order")
    before = len(system.engine.list_executions("on_order"))
    system.put_event("shop", "order.created", {"region": "us", "id": "elsewhere"})
    system.put_event("shop", "order.created", {"region": "eu", "id": "订单-1"})
    system.put_event("workflow-runtime", "order.created", {"region": "eu", "id": "never back in"})
    newest = system.executions("on_order", before + 1)[0]
    assert system.ended(str(newest["execution_id"]))["output"] == {"order": "订单-1"}
    time.sleep(QUIET_SECONDS)
    assert len(system.engine.list_executions("on_order")) == before + 1


def start_by_webhook(system: System) -> None:
    """A signed request counts once; one that was changed on the way does not."""
    system.publish("on_hook")
    body = json.dumps({"id": "订单-2"}, ensure_ascii=False).encode()
    now = str(int(time.time()))
    signature = hmac.new(
        SECRET.encode(), f"{now}.POST /hooks/on_hook/订单.".encode() + body, hashlib.sha256
    ).hexdigest()
    url = f"{system.url}/hooks/on_hook/{quote('订单')}"
    headers = {"content-type": "application/json", "x-timestamp": now, "x-signature": signature}
    accepted = httpx.post(url, content=body, headers=headers, timeout=PATIENCE_SECONDS)
    assert accepted.status_code == 202, accepted.text
    assert system.ended(accepted.json()["execution_id"])["output"] == {"order": "订单-2"}
    assert httpx.post(url, content=body, headers=headers, timeout=PATIENCE_SECONDS).status_code == 409
    assert httpx.post(url, content=body + b" ", headers=headers, timeout=PATIENCE_SECONDS).status_code == 401


def lead_an_order_through_its_states(system: System) -> None:
    """Events come from the bus, found by the order's number, and through the API. Timers of hours and days are
    schedules while they wait, and gone when they do not.
    """
    system.publish_shipped()
    before = len(system.schedules())
    order_id = f"A-{time.time_ns()}"
    input = shipped_input("order_state_machine") | {"order_id": order_id}
    execution_id = system.engine.execute_workflow("order_state_machine", input)
    system.reaches(execution_id, "created")
    eventually(
        lambda: len(system.schedules()) > before,
        PATIENCE_SECONDS,
        "the order is cancelled in half an hour, unless it is paid",
    )
    system.put_event("bank", "payment.succeeded", {"order_id": order_id, "payment_method": "card"})
    system.reaches(execution_id, "paid")
    system.engine.send_event(execution_id, "confirm")
    system.reaches(execution_id, "confirmed")
    system.engine.send_event(execution_id, "ship", {"tracking_no": "SF1042"})
    system.reaches(execution_id, "shipped")
    system.put_event("carrier", "parcel.updated", {"order_id": order_id, "status": "signed"})
    system.reaches(execution_id, "delivered")
    system.engine.send_event(execution_id, "complete")
    document = system.ended(execution_id)
    assert document["status"] == "completed", document["error"]
    assert document["output"]["tracking_no"] == "SF1042"
    eventually(lambda: len(system.schedules()) == before, PATIENCE_SECONDS, "its timers are cancelled")


def respond_to_an_incident(system: System) -> None:
    """One alarm starts the response, the next is an event for it; agents work in states, people approve."""
    system.publish_shipped()
    service = f"checkout-{time.time_ns()}"
    before = len(system.engine.list_executions("incident_response"))
    system.put_event("monitor", "alarm.raised", {"service": service, "alert": "支付成功率低于 90%"})
    execution_id = str(system.executions("incident_response", before + 1)[0]["execution_id"])
    system.reaches(execution_id, "proposed")
    system.put_event("monitor", "alarm.raised", {"service": service, "alert": "还在降"})
    system.engine.send_event(execution_id, "acknowledge", {"by": "李雷"})
    while system.reaches(execution_id, "proposed", "waiting") == "proposed":  # again and again, until a repair helps
        system.engine.send_event(execution_id, "approve", {"by": "李雷"}, wait=20)
    system.engine.send_event(execution_id, "sign", {"by": "韩梅梅"})
    document = system.ended(execution_id)
    assert document["status"] == "completed", document["error"]
    assert len(system.engine.list_executions("incident_response")) == before + 1


def let_a_trial_pass(system: System) -> None:
    """Time alone moves it to its end."""
    system.publish_shipped()
    document = system.run("subscription_lifecycle", shipped_input("subscription_lifecycle") | {"trial": "2s"})
    assert document["status"] == "completed", document["error"]


def publish_events(system: System, received: Any) -> None:
    """A subscriber's queue gets the runtime's events and the workflow's."""
    system.publish("announced")
    document = system.run("announced", {"text": "大" * 400_000})
    assert document["status"] == "completed", document["error"]

    def both() -> bool:
        kinds = [event["detail-type"] for event in received()]
        return {"execution.completed", "order.taken"} <= set(kinds)

    eventually(both, PATIENCE_SECONDS, "the subscriber has both events")
