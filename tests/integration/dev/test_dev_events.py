"""The shipped charts under a live `awr dev`, driven over HTTP: its API, and the door to its bus.

Nothing skips time here: the charts are brought to those ends that need no day to pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.dev.dev_process import DevProcess

DEFINITIONS = Path(__file__).parents[3] / "definitions"
PATIENCE_SECONDS = 120.0


class Caller:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=PATIENCE_SECONDS)

    def start(self, workflow: str, input: Any) -> str:
        answer = self._http.post(f"/workflows/{workflow}/execute", json={"input": input})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["execution_id"])

    def put(self, detail_type: str, detail: Any, source: str = "别处") -> None:
        """On the bus."""
        body = {"source": source, "detail_type": detail_type, "detail": detail}
        assert self._http.post("/dev/events", json=body).status_code == 202

    def send(self, execution: str, event: str, data: Any = None, key: str = "") -> dict[str, Any]:
        """Through the API; what the event did."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"event": event, "data": data}
        answer = self._http.post(f"/executions/{execution}/events", params={"wait": 20}, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def shown(self, execution: str) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(f"/executions/{execution}").json()
        return found

    def until(self, execution: str, *states: str) -> dict[str, Any]:
        """The document, once these are the execution's states."""
        wanted = list(states)
        document: dict[str, Any] = self._once(
            lambda: self.shown(execution), lambda document: document["current_states"] == wanted
        )
        return document

    def until_listening(self, execution: str, event: str) -> None:
        def listens(document: dict[str, Any]) -> bool:
            return event in {available["event"] for available in document["available_events"]}

        self._once(lambda: self.shown(execution), listens)

    def only(self, workflow: str) -> str:
        """The execution that a trigger started."""
        listing = {"workflow": workflow}
        found = self._once(lambda: self._http.get("/executions", params=listing).json()["items"], bool)
        [item] = found
        return str(item["execution_id"])

    def _once(self, look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + PATIENCE_SECONDS
        while not good(found := look()):
            assert time.monotonic() < end, found
            time.sleep(0.05)
        return found


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    folder = tmp_path_factory.mktemp("dev")
    mocks: dict[str, dict[str, Any]] = {"agents": {}, "tools": {}}
    for name in ("order_state_machine", "incident_response", "subscription_lifecycle"):
        for kind, behaviours in yaml.safe_load((DEFINITIONS / "mocks" / f"{name}.yaml").read_text()).items():
            mocks[kind] |= {id: _at_once(behaviour) for id, behaviour in behaviours.items()}
    (folder / "mocks.yaml").write_text(yaml.safe_dump(mocks, allow_unicode=True))
    options = ("--definitions", DEFINITIONS, "--mocks", folder / "mocks.yaml", "--db", folder / "dev.db")
    with DevProcess(folder / "log", *options) as server:
        yield Caller(server.url)


def _at_once(behaviour: Any) -> Any:
    """A mock without its delays."""
    if isinstance(behaviour, list):
        return [_at_once(one) for one in behaviour]
    if isinstance(behaviour, dict):
        return {name: _at_once(value) for name, value in behaviour.items() if name != "delay"}
    return behaviour


def test_an_order_is_moved_by_the_bus_and_by_callers(caller: Caller) -> None:
    order = caller.start("order_state_machine", {"order_id": "丁-1", "amount": 9})
    caller.until(order, "created")
    caller.put("payment.succeeded", {"order_id": "丁-1", "payment_method": "card"})
    caller.until(order, "paid")
    assert caller.send(order, "ship")["outcome"] == "ignored"
    first = caller.send(order, "confirm", key="once")
    assert (first["outcome"], first["current_states"]) == ("taken", ["confirmed"])
    again = caller.send(order, "confirm", key="once")
    assert again["transition"] == first["transition"]
    caller.put("ship", {"execution_id": order, "tracking_no": "SF1"})
    caller.until(order, "shipped")
    caller.put("parcel.updated", {"order_id": "丁-1", "status": "signed"})
    caller.until(order, "delivered")
    caller.put("complete", {"execution_id": order})
    document = caller.until(order, "completed")
    assert document["status"] == "completed"
    assert document["output"]["tracking_no"] == "SF1"


def test_an_incident_is_started_by_an_alarm_and_ended_by_people(caller: Caller) -> None:
    caller.put("alarm.raised", {"service": "结账", "alert": "支付失败"}, source="监控")
    incident = caller.only("incident_response")
    for plan in (1, 2):
        caller.until(incident, "proposed", "first_line", "communication")
        caller.send(incident, "approve", {"by": f"李雷 {plan}"})
    caller.until(incident, "review")
    caller.until_listening(incident, "sign")
    caller.put("sign", {"execution_id": incident, "by": "韩梅梅"})
    document = caller.until(incident, "closed")
    assert (document["status"], document["output"]["report"]["by"]) == ("completed", "韩梅梅")
    assert document["output"]["approved_by"] == "李雷 2"


def test_a_subscription_is_paused_resumed_and_ends_when_its_trial_does(caller: Caller) -> None:
    member = caller.start("subscription_lifecycle", {"customer_id": "丁"})
    caller.until(member, "trial")
    caller.put("subscribe", {"execution_id": member})
    caller.until(member, "in_period", "basic")
    assert caller.send(member, "upgrade")["current_states"] == ["in_period", "pro"]
    assert caller.send(member, "pause")["current_states"] == ["paused"]
    caller.put("resume", {"execution_id": member})
    caller.until(member, "in_period", "pro")
    caller.send(member, "pause")
    caller.put("cancel", {"execution_id": member})
    assert caller.until(member, "ended")["status"] == "completed"
    guest = caller.start("subscription_lifecycle", {"customer_id": "戊", "trial": "1s"})
    assert caller.until(guest, "ended")["status"] == "completed"
