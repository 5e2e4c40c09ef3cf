"""Events through the API's real handler, with API Gateway's events, on both backends: taken, refused, ignored, sent
twice, too late, too early.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from tests.handlers.bench import Bench
from tests.handlers.http_requests import FUNCTION, answer_of, ask, event_of

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import DISPATCH

ORDER = """
workflow:
  id: {id}
  type: state_machine
  initial_state: created
  variables: {{amount: 10}}
  on_unhandled_event: {policy}
  states:
    - name: created
      transitions:
        - {{event: pay, condition: "${{method}} == 'card'", target: paid}}
        - {{event: cancel, condition: "amount < 5", target: done}}
      after: [{{delay: 30d, target: done}}]
    - name: paid
      run: [{{id: fetch, type: tool, tool: echo, inputs: {{by: "${{method}}"}}}}]
      transitions:
        - {{event: ship, target: done}}
        - {{event: note, actions: [{{set_variable: {{name: noted, value: "${{event.data}}"}}}}]}}
"""


def started(bench: Bench, id: str, policy: str = "ignore") -> str:
    bench.runtime.catalog.publish(ORDER.format(id=id, policy=policy).encode())
    execution_id = bench.runtime.starter.start(id, {})
    work(bench)
    return execution_id


def work(bench: Bench) -> None:
    """Dispatch and run what can be received now; no time passes."""
    for _ in range(20):
        for queue in (DISPATCH, "node-tool"):
            if records := bench.receive(queue):
                bench.invoke(queue, records)


def send(bench: Bench, execution_id: str, event: str, data: Any = None, **more: Any) -> Any:
    answer = ask(bench, "POST", f"/executions/{execution_id}/events", {"event": event, "data": data}, **more)
    work(bench)
    return answer


def shown(bench: Bench, execution_id: str, query: str = "") -> Any:
    status, document = ask(bench, "GET", f"/executions/{execution_id}", query=query)
    assert status == 200, document
    return document


def told(bench: Bench, execution_id: str, event: str, data: Any, key: str) -> Any:
    """What a caller is told who waits while the execution takes the event."""
    body = {"event": event, "data": data}
    request = event_of("POST", f"/executions/{execution_id}/events", body, {"idempotency-key": key}, "wait=20")
    handler = bench.api()

    async def wait() -> dict[str, Any]:
        asking = asyncio.ensure_future(handler(request, LocalContext(FUNCTION)))
        while bench.backend.poller.next_visible_at() is None:
            await asyncio.sleep(0)
        await asyncio.to_thread(work, bench)
        bench.pass_time(1)
        answered: dict[str, Any] = await asking
        return answered

    return answer_of(asyncio.run(wait()))


def test_an_event_moves_the_machine_and_the_document_shows_how(bench: Bench) -> None:
    execution_id = started(bench, "moves")
    before = shown(bench, execution_id)
    assert (before["current_states"], before["variables"]) == (["created"], {"amount": 10})
    assert before["available_events"] == [
        {
            "event": "pay",
            "schema": None,
            "source": "created",
            "target": ["paid"],
            "condition": "${method} == 'card'",
            "enabled": None,
            "why": "it depends on the event's data: method",
            "machine": "",
        },
        {
            "event": "cancel",
            "schema": None,
            "source": "created",
            "target": ["done"],
            "condition": "amount < 5",
            "enabled": False,
            "why": "`amount < 5` is false",
            "machine": "",
        },
    ]
    assert [timer["kind"] for timer in before["timers"]] == ["delay"]
    status, accepted = send(bench, execution_id, "pay", {"method": "card"})
    assert status == 202
    assert accepted == {"execution_id": execution_id, "event": "pay", "id": accepted["id"]}
    after = shown(bench, execution_id, "include=nodes")
    assert (after["current_states"], after["variables"]) == (["paid"], {"amount": 10, "method": "card"})
    [start, step] = after["transitions"]
    assert (start["event"], start["entered"]) == (None, ["created"])
    assert {name: step[name] for name in ("event", "source", "exited", "entered", "configuration", "reason")} == {
        "event": "pay",
        "source": "created",
        "exited": ["created"],
        "entered": ["paid"],
        "configuration": ["paid"],
        "reason": None,
    }
    assert after["node_executions"]["paid/fetch"]["output"] == {"by": "card"}
    assert after["timers"] == []
    for path in ("paid/fetch", quote("paid/fetch", safe="")):
        status, node = ask(bench, "GET", f"/executions/{execution_id}/nodes/{path}")
        assert (status, node["status"], node["handled"]) == (200, "success", False)


def test_an_event_that_enables_nothing_is_recorded_with_the_reason(bench: Bench) -> None:
    execution_id = started(bench, "unhandled")
    status, result = told(bench, execution_id, "pay", {"method": "cash"}, "k")
    assert (status, result["outcome"]) == (200, "ignored")
    assert result["reason"] == "`${method} == 'card'` of `created` is false"
    assert (result["current_states"], result["variables"]) == (["created"], {"amount": 10})
    assert result["transition"]["reason"] == result["reason"]
    status, result = told(bench, execution_id, "ship", None, "early")
    assert (result["outcome"], result["reason"]) == ("ignored", "no transition for `ship` in created")


def test_the_same_key_twice_is_one_transition(bench: Bench) -> None:
    execution_id = started(bench, "twice")
    send(bench, execution_id, "pay", {"method": "card"})
    for _ in range(3):
        assert send(bench, execution_id, "note", {"n": 1}, headers={"idempotency-key": "same"})[0] == 202
    steps = [step for step in shown(bench, execution_id)["transitions"] if step["event"] == "note"]
    assert len(steps) == 1
    status, result = told(bench, execution_id, "note", {"n": 1}, "same")
    assert (status, result["outcome"], result["id"]) == (200, "taken", "same")
    assert result["transition"]["version"] == steps[0]["version"]


def test_an_event_after_the_end_is_a_conflict_that_tells_the_status(bench: Bench) -> None:
    execution_id = started(bench, "late")
    send(bench, execution_id, "pay", {"method": "card"})
    send(bench, execution_id, "ship", headers={"idempotency-key": "last"})
    document = shown(bench, execution_id)
    assert (document["status"], document["current_states"]) == ("completed", ["done"])
    assert (document["available_events"], document["timers"]) == ([], [])
    status, problem = send(bench, execution_id, "ship")
    assert (status, problem["code"]) == (409, "ended")
    assert "completed" in problem["detail"]
    again = send(bench, execution_id, "ship", headers={"idempotency-key": "last"})
    assert again[0] == 202, "repeating what was taken is not a conflict"


def test_an_event_that_comes_early_waits_where_the_chart_defers(bench: Bench) -> None:
    execution_id = started(bench, "early", "defer")
    status, result = told(bench, execution_id, "ship", None, "k")
    assert (status, result["outcome"], result["current_states"]) == (200, "deferred", ["created"])
    send(bench, execution_id, "pay", {"method": "card"})
    document = shown(bench, execution_id)
    assert (document["status"], document["current_states"]) == ("completed", ["done"])
    assert [step["event"] for step in document["transitions"] if not step["reason"]] == [None, "pay", "ship"]


def test_an_event_that_nothing_listens_to_is_refused_with_what_there_is(bench: Bench) -> None:
    execution_id = started(bench, "undeclared")
    status, problem = send(bench, execution_id, "pya")
    assert (status, problem["code"]) == (422, "invalid_event")
    assert "did you mean 'pay'?" in problem["detail"]
    assert "cancel, note, pay, ship" in problem["detail"]
    assert send(bench, execution_id, "done.run.paid")[0] == 422
    assert send(bench, "ex-none", "pay")[0] == 404


def test_large_data_arrives_whole(bench: Bench) -> None:
    execution_id = started(bench, "large")
    send(bench, execution_id, "pay", {"method": "card"})
    data = {"text": "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(60_000))}
    assert send(bench, execution_id, "note", data)[0] == 202
    assert shown(bench, execution_id)["variables"]["noted"] == data


def test_the_history_shows_events_and_transitions(bench: Bench) -> None:
    execution_id = started(bench, "history")
    send(bench, execution_id, "pay", {"method": "card"}, headers={"idempotency-key": "k7"})
    _, page = ask(bench, "GET", f"/executions/{execution_id}/history")
    [entry] = [entry for entry in page["items"] if any(event.get("name") == "pay" for event in entry["events"])]
    assert entry["events"] == [{"event": "signal_received", "id": "signal:k7", "name": "pay", "source": "api"}]
    assert [step["configuration"] for step in entry["transitions"]] == [["paid"]]
    assert any(command["command"] == "cancel_timer" for command in entry["commands"])
