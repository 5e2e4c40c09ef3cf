"""Why an execution does not go on: every cause that there is, with since when, until when, and what would move it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.events import Poked
from workflow_runtime.engine.identity import keyed_execution_id
from workflow_runtime.errors import NodeError, RequestError
from workflow_runtime.invokers.gate import NOTHING_BEYOND, Beyond
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.dispatch.dispatcher import Delivery

START = 1_767_225_600_000
AT_START, AFTER_A_MINUTE = "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"


def tool(id: str, *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "act", "dependencies": list(needs), **fields}


def wait(id: str, *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "control", "subtype": "wait", "dependencies": list(needs), **fields}


class World:
    """A runtime in virtual time whose tool is ``act``."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.act: Callable[[NodeCall], Any] = lambda _: {}
        self.runtime = LocalRuntime(open_backend(clock=self.clock), wrap=lambda _: self)
        self.services = self.runtime.services

    abandoned = 0

    def limiters(self, _target: str) -> tuple[str, ...]:
        return ()

    def budget(self, _target: str) -> None:
        return None

    def beyond(self, _target: str) -> Beyond:
        return NOTHING_BEYOND

    async def invoke(self, call: NodeCall) -> NodeResult:
        return NodeResult(self.act(call))

    def publish(self, **fields: Any) -> None:
        self.services.catalog.publish(json.dumps({"workflow": {"id": "w", **fields}}).encode())

    def start(self, **fields: Any) -> str:
        self.publish(**fields)
        return self.services.starter.start("w", {})

    def settled(self, **fields: Any) -> str:
        execution_id = self.start(**fields)
        asyncio.run(self.runtime.settle(execution_id))
        return execution_id

    def dispatched(self, **fields: Any) -> str:
        """Only the dispatcher has looked at it: no worker takes its orders."""
        execution_id = self.start(**fields)
        assert self.services.dispatcher.dispatch(execution_id, [Delivery(Poked("p", START))]) == 1
        return execution_id

    def why(self, execution_id: str) -> dict[str, dict[str, Any]]:
        found = self.services.explanations.why(execution_id, 100).json()
        return {waiting["path"]: waiting for waiting in found["waits"]}


@pytest.fixture
def world() -> Iterator[World]:
    opened = World()
    with opened.runtime:
        yield opened


def test_an_execution_that_was_not_begun_waits_for_the_dispatcher(world: World) -> None:
    waiting = world.why(world.start(nodes=[tool("a")]))[""]
    assert (waiting["status"], waiting["waiting_on"], waiting["since"]) == ("pending", "queue", AT_START)


def test_what_was_ordered_waits_for_a_worker_since_its_order(world: World) -> None:
    waiting = world.why(world.dispatched(nodes=[tool("甲")]))["甲"]
    assert waiting == {
        "path": "甲",
        "status": "ready",
        "waiting_on": "queue",
        "on": ["tool"],
        "more": 0,
        "since": AT_START,
        "until": None,
        "moves": "a worker of the pool `tool` that takes its order",
    }


def test_what_runs_waits_for_nothing_and_says_until_when_it_may(world: World) -> None:
    seen = {}

    def look(call: NodeCall) -> dict[str, Any]:
        seen.update(world.why(call.execution_id))
        return {}

    world.act = look
    world.settled(nodes=[tool("a", timeout="1m"), tool("b", "a")])
    running = seen["a"]
    assert (running["status"], running["waiting_on"]) == ("running", None)
    assert (running["since"], running["until"]) == (AT_START, AFTER_A_MINUTE)
    assert running["moves"] == "the result of its worker, which shows until 2026-01-01T00:01:30.000Z that it is alive"


def test_what_depends_names_the_open_nodes_before_it(world: World) -> None:
    many = [f"n{number}" for number in range(13)]
    found = world.why(
        world.dispatched(
            nodes=[
                *(tool(id) for id in many),
                tool("all", *many),
                tool("any", *many, join="any"),
                tool("some", "n0", "n1", join={"at_least": 1}),
                tool("one", "n0", join="all_success"),
            ]
        )
    )
    assert (found["all"]["on"], found["all"]["more"]) == (many[:10], 3)
    assert {path: found[path]["moves"] for path in ("all", "any", "some", "one")} == {
        "all": "the ends of these 13 nodes",
        "any": "the first success before it (join `any`)",
        "some": "1 successes before it (join `at_least`)",
        "one": "the end of that node, with success (join `all_success`)",
    }
    assert {entry["waiting_on"] for path, entry in found.items() if path not in many} == {"dependency"}
    assert list(found)[-1] == "one", "those that wait for others come last"


def test_what_finds_no_place_says_its_place_in_line(world: World) -> None:
    nodes = [tool(id) for id in "abc"]
    found = world.why(world.dispatched(limits={"max_concurrency": 1}, nodes=nodes))
    assert [entry["waiting_on"] for entry in found.values()] == ["queue", "concurrency", "concurrency"]
    assert found["c"]["moves"] == "the end of one of 1 nodes at work (`max_concurrency`); its place in line is 2"


def test_a_branch_waits_for_another_of_its_parallel(world: World) -> None:
    fork = {"id": "并", "type": "control", "subtype": "parallel", "branches": ["a", "b"], "max_concurrency": 1}
    found = world.why(
        world.dispatched(
            nodes=[fork, {"id": "a", "type": "tool", "tool": "act"}, {"id": "b", "type": "tool", "tool": "act"}]
        )
    )
    assert (found["b"]["waiting_on"], found["b"]["on"]) == ("concurrency", ["并"])


def test_a_node_that_failed_waits_for_what_runs_in_its_place(world: World) -> None:
    def act(call: NodeCall) -> Any:
        if call.path == "a":
            world.clock.advance_to(START + 60_000)
        raise NodeError("broken", "no")

    world.act = act
    other = {"id": "other", "nodes": [wait("x", event="go")]}
    world.services.catalog.publish(json.dumps({"workflow": other}).encode())
    later = tool("c", retry_policy={"retry_delay": 60, "jitter": "none"})
    execution_id = world.settled(nodes=[tool("a", fallback={"workflow_id": "other"}), tool("b", fallback="c"), later])
    waits = world.why(execution_id)
    assert waits["a"]["moves"] == "the end of `a~fallback`, which runs in its place"
    assert waits["a"]["since"] == AFTER_A_MINUTE
    entry = world.services.documents.document(execution_id)["node_executions"]["a"]
    assert (entry["status"], entry["started_at"]) == ("running", AT_START)
    assert waits["a~fallback"]["waiting_on"] == "child"
    assert waits["b"]["on"] == ["c"]
    assert waits["c"]["waiting_on"] == "retry"


def test_what_is_retried_says_when_and_after_what(world: World) -> None:
    def fail(_: NodeCall) -> Any:
        raise NodeError("rate_limited", "稍后再试", 60)

    world.act = fail
    retrying = world.why(world.settled(nodes=[tool("a", retry_policy={"jitter": "none"})]))["a"]
    assert (retrying["status"], retrying["waiting_on"]) == ("retrying", "retry")
    assert (retrying["since"], retrying["until"]) == (AT_START, AFTER_A_MINUTE)
    assert retrying["moves"] == "attempt 2, by itself after rate_limited: 稍后再试"


def test_waits_say_for_what_and_until_when(world: World) -> None:
    heard = wait("听", event="批准", match="event.data.n > 1", timeout="1m")
    found = world.why(
        world.settled(
            nodes=[
                heard,
                wait("睡", duration="1m"),
                wait("钥", event="x", **{"correlate": "${detail.id}", "with": "k-7"}),
            ]
        )
    )
    assert (found["听"]["waiting_on"], found["听"]["on"]) == ("event", ["批准"])
    assert (found["听"]["since"], found["听"]["until"]) == (AT_START, AFTER_A_MINUTE)
    assert found["听"]["moves"] == "the event `批准` with `event.data.n > 1` or its timeout"
    assert (found["睡"]["waiting_on"], found["睡"]["until"]) == ("timer", AFTER_A_MINUTE)
    assert (found["钥"]["moves"], found["钥"]["until"]) == ("the event `x` under the key 'k-7'", None)


def test_a_chart_says_where_it_is_what_it_hears_what_was_kept_and_which_child_it_awaits(world: World) -> None:
    world.services.catalog.publish(
        json.dumps({"workflow": {"id": "child", "nodes": [wait("w", event="never")]}}).encode()
    )
    call = {"start_workflow": {"workflow_id": "child", "input": {}, "result_event": "好了"}}
    states = [
        {
            "name": "问",
            "on_enter": [call],
            "run": [wait("早", event="早到"), wait("等", "早", event="早到")],
            "transitions": [{"event": "好了", "target": "done"}, {"event": "弃", "target": "done"}],
        }
    ]
    execution_id = world.settled(type="hybrid", initial_state="问", states=states, final_states=["done"])
    found = world.services.explanations.why(execution_id, 100).json()
    waits = {waiting["path"]: waiting for waiting in found["waits"]}
    child = keyed_execution_id("child", f"child:{execution_id}:{_token(world, execution_id)}")
    assert (waits[""]["waiting_on"], waits[""]["on"]) == ("child", [child])
    assert waits[""]["moves"] == "the end of that execution of `child`, which is running; it becomes the event `好了`"
    assert (waits["问/早"]["waiting_on"], waits["问/等"]["waiting_on"]) == ("event", "dependency")
    assert found["current_states"] == ["问"]
    assert {event["event"] for event in found["available_events"]} == {"早到", "好了", "弃"}


def _token(world: World, execution_id: str) -> str:
    stored = world.services.stores.executions.load(execution_id)
    assert stored is not None
    return next(id for id, entry in stored.state.pending.items() if entry.kind == "child")


def test_events_kept_for_later_are_listed(world: World) -> None:
    execution_id = world.settled(nodes=[wait("先", event="a"), wait("后", "先", event="b")])
    world.services.signalling.send(execution_id, "b", {"n": 1})
    asyncio.run(world.runtime.settle(execution_id))
    found = world.services.explanations.why(execution_id, 100).json()
    assert [kept["event"] for kept in found["kept_events"]] == ["b"]


def test_a_node_is_explained_with_all_that_it_waits_for(world: World) -> None:
    execution_id = world.dispatched(nodes=[tool("a"), tool("b", "a"), tool("c", "b"), tool("d")])
    found = world.services.explanations.why_node(execution_id, "c").json()
    assert [waiting["path"] for waiting in found["waits"]] == ["c", "b", "a"]
    assert [waiting["waiting_on"] for waiting in found["waits"]] == ["dependency", "dependency", "queue"]


def test_a_node_that_has_ended_or_is_only_called_says_so(world: World) -> None:
    execution_id = world.settled(nodes=[tool("a"), tool("救"), wait("w", event="e", timeout="1m", on_timeout="救")])
    explanations = world.services.explanations
    moves = {path: explanations.why_node(execution_id, path).waits[0].moves for path in ("a", "救")}
    assert moves == {"a": "nothing: it has ended", "救": "a rule of another node that calls it"}
    assert "救" not in world.why(execution_id)
    with pytest.raises(RequestError, match="no node 'x'"):
        explanations.why_node(execution_id, "x")
    with pytest.raises(RequestError, match="no execution"):
        explanations.why("ex-nobody", 1)


def test_a_node_of_a_state_that_is_not_active_waits_for_that_state(world: World) -> None:
    states = [
        {"name": "甲", "transitions": [{"event": "go", "target": "乙"}]},
        {"name": "乙", "run": [tool("x")], "transitions": [{"event": "go", "target": "done"}]},
    ]
    execution_id = world.settled(type="hybrid", initial_state="甲", states=states, final_states=["done"])
    (waiting,) = world.services.explanations.why_node(execution_id, "乙/x").waits
    assert (waiting.status, waiting.moves) == ("waiting", "the execution comes to `乙`, which holds it")


def test_what_has_ended_waits_for_nothing(world: World) -> None:
    found = world.services.explanations.why(world.settled(nodes=[tool("a")]), 100).json()
    assert (found["status"], found["waits"], found["open_nodes"]) == ("completed", [], 0)


def test_a_large_execution_is_read_page_by_page(world: World) -> None:
    ids = [f"n{number:04d}" for number in range(3_000)]
    execution_id = world.dispatched(limits={"max_concurrency": 7}, nodes=[tool(id) for id in ids])
    explanations = world.services.explanations
    first = explanations.why(execution_id, 1_000)
    assert (len(first.waits), first.total, first.next) == (1_000, 3_000, 1_000)
    found = [
        waiting.path for after in (0, 1_000, 2_000) for waiting in explanations.why(execution_id, 1_000, after).waits
    ]
    assert found == ids
    assert explanations.why(execution_id, 1_000, 2_000).next is None


def test_a_loop_waits_for_its_passes_and_they_for_what_is_in_them(world: World) -> None:
    each = {"id": "each", "type": "control", "subtype": "loop", "times": 3, "body": [wait("pause", seconds=60)]}
    waits = world.why(world.settled(nodes=[each]))
    assert waits["each"]["moves"] == "the end of its passes"
    assert waits["each[0]/pause"]["waiting_on"] == "timer"
    assert waits["each[0]/pause"]["until"] == AFTER_A_MINUTE
    assert "each[1]/pause" not in waits
