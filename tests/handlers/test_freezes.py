"""Freezes through the real handlers, on both backends: what is held, what goes on, and that a thaw loses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from tests.handlers.bench import Bench
from tests.handlers.http_requests import ask

from workflow_runtime.deployment.topology import DISPATCH, LIMITS, node_queue
from workflow_runtime.ports import Item, Key
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.looks import SEEN_MS
from workflow_runtime.storage import keys
from workflow_runtime.storage.due import shard_of
from workflow_runtime.storage.payloads import pack_bytes

AGENT = "    - {id: 写, type: agent, agent: 作者}\n"
CHAIN = AGENT + "    - {id: 后, type: tool, tool: echo, dependencies: [写]}\n"

CHART = """
workflow:
  id: chart
  type: state_machine
  initial_state: open
  states:
    - {name: open, transitions: [{event: press, target: pressed}]}
    - {name: pressed, transitions: [{event: close, target: done}]}
    - {name: done, type: final}
"""


class DiesAt:
    """A port of which one method ends the process instead."""

    def __init__(self, port: Any, method: str) -> None:
        self._port = port
        self._method = method

    def __getattr__(self, name: str) -> Any:
        return self._call if name == self._method else getattr(self._port, name)

    def _call(self, *_: Any) -> None:
        raise SystemExit


@pytest.fixture
def frozen(bench: Bench) -> Iterator[Bench]:
    """The bench, with everything thawed afterwards."""
    bench.tools.tools["作者"] = lambda call: call.inputs
    bench.tools.calls.clear()
    yield bench
    for switch in bench.runtime.freezes.list():
        bench.runtime.freezes.thaw(switch.scope)
    bench.settle()
    bench.pass_time(60)
    bench.runtime.freezes.look_after()
    bench.settle()
    assert bench.runtime.freezes.list() == []


def freeze(bench: Bench, scope: str, reason: str = "") -> Any:
    return ask(bench, "PUT", f"/freezes/{quote(scope, safe='')}", {"reason": reason})


def thaw(bench: Bench, scope: str) -> Any:
    return ask(bench, "DELETE", f"/freezes/{quote(scope, safe='')}")


def held(bench: Bench, scope: str) -> list[dict[str, Any]]:
    status, found = ask(bench, "GET", f"/freezes/{quote(scope, safe='')}")
    assert status == 200
    return list(found["held"])


def why(bench: Bench, execution_id: str) -> dict[str, Any]:
    (waiting,) = ask(bench, "GET", f"/executions/{execution_id}/why")[1]["waits"][:1]
    return dict(waiting)


def status_of(bench: Bench, execution_id: str) -> str:
    return str(bench.document(execution_id)["status"])


def test_a_frozen_workflow_accepts_starts_which_stay_pending_until_the_thaw(frozen: Bench) -> None:
    first = frozen.start(CHAIN, workflow_id="客服")
    frozen.settle()
    assert status_of(frozen, first) == "completed", "before the freeze nothing is held"
    status, answer = freeze(frozen, "workflow:客服", "模型胡说")
    assert (status, answer["scope"], answer["reason"], answer["changed"]) == (200, "workflow:客服", "模型胡说", True)
    ids = [frozen.runtime.starter.start("客服") for _ in range(3)]
    other = frozen.start(CHAIN, workflow_id="别的")
    frozen.settle()
    assert [status_of(frozen, id) for id in (*ids, other)] == ["pending"] * 3 + ["completed"]
    assert {one["execution_id"] for one in held(frozen, "workflow:客服")} == set(ids)
    waiting = why(frozen, ids[0])
    assert (waiting["waiting_on"], waiting["on"]) == ("frozen", ["workflow:客服"])
    assert waiting["moves"].endswith(": 模型胡说")
    assert thaw(frozen, "workflow:客服")[1]["changed"]
    frozen.settle()
    assert [status_of(frozen, id) for id in ids] == ["completed"] * 3
    assert Counter(frozen.tools.calls)["写"] == 5


def test_runs_of_a_frozen_agent_stay_ready_and_nobody_polls(frozen: Bench) -> None:
    freeze(frozen, "agent:作者")
    id = frozen.start(CHAIN)
    frozen.settle()
    entry = frozen.document(id)["node_executions"]["写"]
    assert (entry["status"], entry["waiting_on"], frozen.tools.calls) == ("ready", "frozen", [])
    assert why(frozen, id)["on"] == ["agent:作者"]
    assert frozen.backend.poller.next_visible_at() is None, "nothing waits in a queue"
    (one,) = held(frozen, "agent:作者")
    assert (one["kind"], one["execution_id"], one["path"]) == ("order", id, "写")
    thaw(frozen, "agent:作者")
    frozen.settle()
    assert status_of(frozen, id) == "completed"
    assert frozen.tools.calls == ["写", "后"]


def test_a_freeze_of_all_holds_starts_and_runs_of_agents_and_tools(frozen: Bench) -> None:
    frozen.tools.tools["作者"] = lambda _: frozen.runtime.freezes.freeze("all") and {}
    running = frozen.start(CHAIN)
    frozen.settle()
    frozen.tools.tools["作者"] = lambda call: call.inputs
    starting = frozen.runtime.starter.start("w")
    frozen.settle()
    nodes = frozen.document(running)["node_executions"]
    assert (nodes["写"]["status"], nodes["后"]["waiting_on"]) == ("success", "frozen"), "what runs already goes on"
    assert status_of(frozen, starting) == "pending"
    assert ask(frozen, "GET", "/health") == (200, {"status": "ok", "frozen": ["all"]})
    thaw(frozen, "all")
    frozen.settle()
    assert [status_of(frozen, id) for id in (running, starting)] == ["completed"] * 2


def test_a_run_held_by_one_switch_meets_the_next_after_the_thaw(frozen: Bench) -> None:
    freeze(frozen, "all")
    freeze(frozen, "agent:作者")
    id = frozen.start(AGENT)
    frozen.settle()
    thaw(frozen, "all")
    frozen.settle()
    assert frozen.document(id)["node_executions"]["写"]["waiting_on"] == "frozen"
    assert len(held(frozen, "agent:作者")) == 1
    thaw(frozen, "agent:作者")
    frozen.settle()
    assert status_of(frozen, id) == "completed"


def test_a_node_that_chooses_its_agent_is_held_while_any_of_them_is_frozen(frozen: Bench) -> None:
    freeze(frozen, "agent:乙")
    id = frozen.start("    - {id: 写, type: agent, agent: '${谁}', allow: [作者, 乙]}\n", {"谁": "作者"})
    frozen.settle()
    assert frozen.document(id)["node_executions"]["写"]["waiting_on"] == "frozen"


def test_events_for_an_execution_whose_start_is_held_are_taken_in_order_after_it(frozen: Bench) -> None:
    wait = "    - {id: 等, type: control, subtype: wait, event: 来}\n"
    more = "    - {id: 再, type: control, subtype: wait, event: 来, dependencies: [等]}\n"
    frozen.start(AGENT, workflow_id="事")
    frozen.settle()
    frozen.runtime.catalog.publish(f"workflow:\n  id: 事\n  nodes:\n{wait}{more}".encode())
    freeze(frozen, "workflow:事")
    id = frozen.runtime.starter.start("事")
    frozen.settle()
    for n in (1, 2):
        assert ask(frozen, "POST", f"/executions/{id}/events", {"event": "来", "data": {"n": n}})[0] == 202
        frozen.settle()
    assert [one["kind"] for one in held(frozen, "workflow:事")] == ["start", "event", "event"]
    thaw(frozen, "workflow:事")
    frozen.settle()
    nodes = frozen.document(id)["node_executions"]
    assert [nodes[path]["output"] for path in ("等", "再")] == [{"n": 1}, {"n": 2}]


def test_what_is_held_can_be_cancelled_and_the_thaw_changes_nothing_then(frozen: Bench) -> None:
    freeze(frozen, "agent:作者")
    ready = frozen.start(AGENT)
    frozen.settle()
    freeze(frozen, "workflow:w")
    pending = frozen.runtime.starter.start("w")
    frozen.settle()
    for id in (ready, pending):
        assert ask(frozen, "POST", f"/executions/{id}/cancel", {"reason": "算了"})[0] == 202
    frozen.settle()
    assert [status_of(frozen, id) for id in (ready, pending)] == ["cancelled"] * 2
    thaw(frozen, "workflow:w")
    thaw(frozen, "agent:作者")
    frozen.settle()
    assert [status_of(frozen, id) for id in (ready, pending)] == ["cancelled"] * 2
    assert frozen.tools.calls == []


def test_an_execution_that_is_suspended_while_its_start_is_held_does_not_begin_after_the_thaw(frozen: Bench) -> None:
    frozen.start(AGENT)
    frozen.settle()
    frozen.tools.calls.clear()
    freeze(frozen, "workflow:w")
    id = frozen.runtime.starter.start("w")
    frozen.settle()
    assert ask(frozen, "POST", f"/executions/{id}/suspend", {})[0] == 202
    frozen.settle()
    thaw(frozen, "workflow:w")
    frozen.settle()
    assert (status_of(frozen, id), frozen.tools.calls) == ("suspended", [])
    ask(frozen, "POST", f"/executions/{id}/resume", {})
    frozen.settle()
    assert status_of(frozen, id) == "completed"


def test_thawed_twice_nothing_is_done_twice(frozen: Bench) -> None:
    freeze(frozen, "agent:作者")
    id = frozen.start(AGENT)
    frozen.settle()
    assert [thaw(frozen, "agent:作者")[1]["changed"] for _ in range(2)] == [True, False]
    frozen.settle()
    assert (status_of(frozen, id), frozen.tools.calls) == ("completed", ["写"])


@pytest.mark.parametrize("scope", ["workflow:w", "agent:作者"])
def test_a_crash_between_sending_and_deleting_sends_again_and_does_nothing_twice(frozen: Bench, scope: str) -> None:
    frozen.runtime.catalog.publish(f"workflow:\n  id: w\n  nodes:\n{AGENT}".encode())
    freeze(frozen, scope)
    id = frozen.runtime.starter.start("w")
    frozen.settle()
    thaw(frozen, scope)
    records = frozen.receive(LIMITS)
    ports = frozen.runtime.ports
    dying = replace(ports, table=DiesAt(ports.table, "delete_all"))
    with frozen.on(dying), pytest.raises(SystemExit):
        frozen.invoke(LIMITS, records)
    assert held(frozen, scope), "it was sent, and is not deleted"
    frozen.drain()
    assert (status_of(frozen, id), frozen.tools.calls) == ("completed", ["写"])
    assert frozen.runtime.freezes.list() == [], "nothing is held any more, and the switch is closed"


def test_when_the_thaw_dies_before_it_asks_for_the_release_a_tick_does_it(frozen: Bench) -> None:
    freeze(frozen, "workflow:w")
    id = frozen.start(AGENT)
    frozen.settle()
    ports = frozen.runtime.ports
    with frozen.on(replace(ports, queues=DiesAt(ports.queues, "send"))), pytest.raises(SystemExit):
        frozen.runtime.freezes.thaw("workflow:w")
    frozen.settle()
    assert status_of(frozen, id) == "pending"
    frozen.runtime.freezes.look_after()
    frozen.settle()
    assert status_of(frozen, id) == "completed"


def test_a_process_that_has_not_seen_the_thaw_goes_on_by_itself(frozen: Bench) -> None:
    freeze(frozen, "all")
    stale: Runtime = frozen.runtime
    assert stale.looks.known()
    with frozen.on(stale.ports):
        frozen.runtime.freezes.thaw("all")  # another process
    id = frozen.start(CHAIN)
    for _ in range(6):  # what it holds back comes again with the pump
        for queue in (LIMITS, DISPATCH, node_queue("agent"), node_queue("tool")):
            frozen.deliver(queue)
    assert status_of(frozen, id) == "completed"


def test_a_freeze_that_a_process_has_not_seen_holds_within_seconds(frozen: Bench) -> None:
    assert frozen.runtime.looks.known() == {}
    with frozen.on(frozen.runtime.ports):
        freeze(frozen, "workflow:w")
    frozen.pass_time(SEEN_MS // 1000 + 1)
    id = frozen.start(AGENT)
    frozen.settle()
    assert status_of(frozen, id) == "pending"


def test_set_again_before_all_was_sent_on_the_rest_stays_held(frozen: Bench) -> None:
    freeze(frozen, "workflow:w")
    id = frozen.start(AGENT)
    frozen.settle()
    thaw(frozen, "workflow:w")
    freeze(frozen, "workflow:w")
    frozen.settle()
    assert status_of(frozen, id) == "pending"
    assert len(held(frozen, "workflow:w")) == 1
    thaw(frozen, "workflow:w")
    frozen.settle()
    assert status_of(frozen, id) == "completed"


def test_the_sweep_sends_no_order_that_is_frozen(frozen: Bench) -> None:
    freeze(frozen, "agent:作者")
    id = frozen.start(AGENT)
    frozen.settle()
    frozen.pass_time(3_600)
    assert frozen.runtime.sweep.sweep(shard_of(id)).orders == 0
    frozen.settle()
    thaw(frozen, "agent:作者")
    frozen.settle()
    assert status_of(frozen, id) == "completed"


@pytest.mark.parametrize(("busy_seconds", "status"), [(200, "completed"), (301, "failed")])
def test_frozen_time_does_not_count_against_max_wait(frozen: Bench, busy_seconds: int, status: str) -> None:
    freeze(frozen, "agent:作者")
    execution_id = frozen.start("    - {id: 写, type: agent, agent: 作者, max_wait: 5m}\n")
    frozen.settle()
    frozen.pass_time(3600)
    freeze(frozen, "all")
    thaw(frozen, "agent:作者")
    frozen.pass_time(3600)
    thaw(frozen, "all")
    for queue in (LIMITS, DISPATCH):
        while frozen.deliver(queue):
            pass
    frozen.pass_time(busy_seconds)
    frozen.settle()
    document = frozen.document(execution_id)
    assert document["status"] == status
    if status == "failed":
        assert document["error"]["type"] == "throttled"


@pytest.mark.parametrize(("busy_seconds", "status"), [(200, "completed"), (301, "failed")])
def test_suspended_time_does_not_count_against_max_wait_either(frozen: Bench, busy_seconds: int, status: str) -> None:
    """Two suspensions while an order lies in its queue; the message that was there before them is the first to come."""
    execution_id = frozen.start("    - {id: 写, type: agent, agent: 作者, max_wait: 5m}\n")
    while frozen.deliver(DISPATCH):
        pass
    for number in range(2):
        frozen.runtime.control.ask("suspend", execution_id, key=f"suspend {number}")
        while frozen.deliver(DISPATCH):
            pass
        frozen.pass_time(3600)
        if number:
            frozen.settle()  # a worker comes to it meanwhile
            assert frozen.document(execution_id)["node_executions"]["写"]["status"] == "ready"
        frozen.runtime.control.ask("resume", execution_id, key=f"resume {number}")
        while frozen.deliver(DISPATCH):
            pass
    frozen.pass_time(busy_seconds)
    frozen.settle()
    document = frozen.document(execution_id)
    assert document["status"] == status
    if status == "failed":
        assert document["error"]["type"] == "throttled"


def test_what_an_earlier_version_has_frozen_goes_on_when_it_is_thawed(frozen: Bench) -> None:
    """It holds a start, and two events that have come for it, under the switch; not in a line."""
    frozen.runtime.catalog.publish(CHART.encode())
    execution_id = frozen.runtime.starter.start("chart")
    for event in ("press", "close"):
        frozen.runtime.signalling.send(execution_id, event)
    records = frozen.receive(DISPATCH)
    frozen.backend.poller.delete(DISPATCH, [record.receipt_handle for record in records])
    bodies = [str(record.event_record["body"]).encode() for record in records[1:]]
    held = [{"kind": "start"}, *({"kind": "event", "body": pack_bytes(body)} for body in bodies)]
    freeze(frozen, "workflow:chart")
    table = frozen.backend.ports.table
    for place, attributes in enumerate(held):
        key = Key(keys.held_by("workflow:chart"), f"{frozen.clock.now():015d}#{place}")
        table.put(Item(key, {**attributes, "execution": execution_id, "at": frozen.clock.now()}))
    frozen.runtime.freezes.look_after()
    assert len(table.query(keys.held_by("workflow:chart"))) == 3
    thaw(frozen, "workflow:chart")
    frozen.settle()
    frozen.runtime.freezes.look_after()
    frozen.settle()
    assert frozen.document(execution_id)["current_states"] == ["done"]
    assert table.query(keys.held_by("workflow:chart")) == []
    assert frozen.runtime.freezes.list() == []


def test_many_are_released_page_by_page() -> None:
    bench = Bench("embedded")  # simulated queues take long for so many messages
    bench.tools.tools["作者"] = lambda call: call.inputs
    bench.runtime.catalog.publish(f"workflow:\n  id: w\n  nodes:\n{AGENT}".encode())
    freeze(bench, "workflow:w")
    ids = [bench.runtime.starter.start("w") for _ in range(131)]
    bench.settle()
    status, found = ask(bench, "GET", "/freezes/workflow%3Aw")
    assert (status, len(found["held"]), found["more"]) == (200, 100, True)
    thaw(bench, "workflow:w")
    bench.settle()
    assert {status_of(bench, id) for id in ids} == {"completed"}
    assert len(bench.tools.calls) == 131
    bench.close()


@pytest.mark.parametrize(
    ("method", "scope", "body", "expected"),
    [
        ("PUT", "workflow:无", {}, (404, "not_found")),
        ("PUT", "nothing", {}, (422, "invalid_request")),
        ("PUT", "agent:", {}, (422, "invalid_request")),
        ("PUT", "agent:" + "x" * 129, {}, (422, "invalid_request")),
        ("PUT", "all", {"reason": "x" * 1001}, (422, "invalid_request")),
        ("DELETE", "agent:从未", None, (404, "not_found")),
        ("GET", "agent:从未", None, (404, "not_found")),
    ],
)
def test_what_cannot_be_frozen_or_thawed_is_told(
    frozen: Bench, method: str, scope: str, body: Any, expected: tuple[int, str]
) -> None:
    status, problem = ask(frozen, method, f"/freezes/{quote(scope, safe='')}", body)
    assert (status, problem["code"]) == expected


def test_ids_with_a_slash_and_in_other_forms_of_unicode_are_found(frozen: Bench) -> None:
    assert freeze(frozen, "agent:gpt/é")[1]["scope"] == "agent:gpt/é"
    assert freeze(frozen, "agent:gpt/e\u0301")[1]["changed"] is False
    assert [item["scope"] for item in ask(frozen, "GET", "/freezes")[1]["items"]] == ["agent:gpt/é"]
