"""The shipped graphs with a failure in every position end as the language says: by the second interpreter of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from tests.simulation.engine.recovery import Script
from tests.simulation.engine.reference import Definition
from tests.simulation.engine.test_engine_simulation import comparable
from tests.simulation.engine.undoing import UNDO, Undoing

from workflow_runtime.engine.events import NodeFailed, NodeSucceeded
from workflow_runtime.errors import RequestError
from workflow_runtime.plan.plan import decode_plan
from workflow_runtime.testing import WorkflowTester

ROOT = Path(__file__).parents[3]
MOCKS = ROOT / "definitions" / "mocks"
Story: TypeAlias = Callable[[WorkflowTester], str]
TYPES = ("rate_limited", "timeout", "不行")
"""Of errors: those that the workflows retry, and one of which they know nothing."""
INPUTS: dict[str, Any] = {
    "customer_support": {"message": "我要投诉：一直没人回复"},
    "parallel_research": {"topic": "电动车"},
    "travel_booking": {"traveller": "李雷", "city": "成都", "days": 2, "card": "visa-1"},
}
CHOICES = {"route": ["complaint_handler"]}
"""What the switches choose with these inputs."""


class Shipped(Undoing):
    """Tells statuses only: what a switch chooses is known, and no output matters. ``calls``: what undoes nodes, where
    that is a node of the graph."""

    def __init__(self, definition: Definition, outcomes: dict[str, Script]) -> None:
        super().__init__(definition, outcomes, lambda _: None)
        self.calls = {
            node["compensate"]["node"] for node in definition["nodes"] if "node" in node.get("compensate", {})
        }
        self.asked: str | None = None

    def arrive(self, id: str) -> None:
        if id in self.calls:
            self.outcomes[next(iter(self.open)) + UNDO] = self.outcomes[id]
            id = next(iter(self.open)) + UNDO
        super().arrive(id)

    def recover(self, id: str, type: str) -> None:
        """A handler that escalates comes last in the workflows that have one."""
        super().recover(id, type)
        if self.status[id] == "failed" and any(handler["node_pattern"] == id for handler in self.escalating):
            self.asked = id

    @property
    def escalating(self) -> list[Any]:
        return [handler for handler in self.handlers if handler["action"] == "fail"]

    def outcome(self, definition: Definition) -> Any:
        """What succeeded although it was told to stop was undone, and says so."""
        status, nodes, output, error = super().outcome(definition)
        return status, {**nodes, **dict.fromkeys(self.undone, "success")}, output, error

    def choose(self, node: Definition) -> list[str]:
        return CHOICES.get(node["id"], node["branches"])

    def yielded(self, _: Definition) -> Any:
        return None

    def aggregated(self, *_: Any) -> Any:
        return {}


def plain(source: Definition) -> Definition:
    """The definition in the words that the reference knows; what a person decides is, resumed, an ordinary failure."""
    definition: Definition = deepcopy(source["workflow"])
    defaults = definition.get("defaults", {})
    called = {node.get("compensate") for node in definition["nodes"] if isinstance(node.get("compensate"), str)}
    definition["nodes"] = [node for node in definition["nodes"] if node["id"] not in called]
    for node in definition["nodes"]:
        node.update({key: value for key, value in defaults.get(node["type"], {}).items() if key not in node})
        node["type"] = "tool" if node["type"] == "agent" else node["type"]
        for name in ("inputs", "condition", "outputs"):
            node.pop(name, None)
        if "retry_policy" in node:
            node["retry_policy"] = {"errors": ["*"], "max_retries": 3, **node["retry_policy"]}
        if "on_error" in node:
            node["on_error"] = [{"errors": ["*"], "do": node["on_error"]}]
        if isinstance(node.get("compensate"), str):
            node["compensate"] = {"node": node["compensate"]}
        for branch in node.get("branches", []) if node.get("subtype") == "switch" else []:
            way = "default" if "default" in branch else "target"
            branch[way] = [branch[way]]
    definition["compensation"] = {"on": ["failure", "cancel", "timeout"], "order": "reverse"}
    definition["error_handlers"] = [
        {
            "node_pattern": handler.get("node_pattern", ".*"),
            "errors": handler.get("errors", ["*"]),
            "action": handler["action"] if isinstance(handler["action"], dict) else "fail",
        }
        for handler in definition.get("error_handlers", [])
    ]
    return definition


def positions(name: str) -> list[str]:
    definition = yaml.safe_load((ROOT / f"definitions/workflows/{name}.yaml").read_text("utf-8"))["workflow"]
    paths = []
    for node in definition["nodes"]:
        if node["type"] in ("agent", "tool"):
            paths.append(node["id"])
            paths += [f"{node['id']}~fallback"] if "fallback" in node else []
            paths += [node["id"] + UNDO] if isinstance(node.get("compensate"), dict) else []
    return paths


CASES = [(name, path, type) for name in INPUTS for path in positions(name) for type in TYPES]


@pytest.mark.parametrize(("name", "path", "type"), CASES)
def test_a_shipped_graph_with_a_failure_in_any_position_ends_as_the_reference_says(
    name: str, path: str, type: str
) -> None:
    source = yaml.safe_load((ROOT / f"definitions/workflows/{name}.yaml").read_text("utf-8"))
    broken = {path, "pay", "pay~fallback"} if "~" in path or path == "cancel_later" else {path}
    with WorkflowTester.embedded(ROOT / "definitions") as runtime:
        for failing in broken:
            runtime.fail(failing, type, "坏了")
        id = runtime.start(name, INPUTS[name], ROOT / f"definitions/mocks/{name}.yaml")
        runtime.finish(id)
        recording = runtime.recording(id)
        document = runtime.result(id).document
        escalated = document["status"] == "suspended"
        if escalated:
            assert document["suspension"]["escalated"]["node"] == path
            runtime.resume(id)
            runtime.finish(id)
            recording, document = runtime.recording(id), runtime.result(id).document
    ends = [
        event for entry in recording.entries for event in entry.events if isinstance(event, (NodeSucceeded, NodeFailed))
    ]
    outcomes: dict[str, Script] = defaultdict(list)
    for end in ends:
        outcomes[end.path].append(("!", end.error.type) if isinstance(end, NodeFailed) else {})
    run = Shipped(plain(source), outcomes)
    run.scan()
    for end in ends:
        run.arrive(end.path)
    status, nodes, _, error = run.outcome({})
    entries = document["node_executions"]
    found = {known: entries[known]["status"].replace("compensated", "success") for known in nodes}
    said = (document["error"]["type"], document["error"]["node"]) if document["error"] else None
    assert comparable((document["status"], found, None, said)) == comparable((status, nodes, None, error))
    assert escalated == (run.asked is not None)
    undone = [(entry["node"], entry["status"] == "success") for entry in document["compensations"]]
    assert undone == [(known, run.undone[known]) for known in reversed(run.done) if known in run.undone]
    if undone:
        assert document["compensation"] == ("completed" if all(well for _, well in undone) else "failed")


# ---- charts: what their states say of failures


def order(runtime: WorkflowTester) -> str:
    """Paid, then cancelled: the money goes back, which the mocks refuse the first time."""
    id = runtime.start("order_state_machine", {"order_id": "A-1", "amount": 9}, MOCKS / "order_state_machine.yaml")
    runtime.send_event(id, "pay", {"payment_method": "card"})
    runtime.send_event(id, "cancel", {"reason": "不要了"})
    runtime.advance_time("5h")
    return id


def incident(runtime: WorkflowTester) -> str:
    """Investigated, approved as often as anything waits for it, revised and signed; nobody acknowledges it."""
    id = runtime.start("incident_response", {"service": "结账", "alert": "失败率高"}, MOCKS / "incident_response.yaml")
    for _ in range(2):
        runtime.advance_time("25m")
        runtime.send_event(id, "approve", {"by": "李雷"})
    runtime.advance_time("20m")
    for event in ("revise", "sign"):
        with suppress(RequestError):  # without a postmortem it is closed
            runtime.send_event(id, event, {"by": "韩梅梅"})
            runtime.advance_time("1m")
    return id


def subscription(runtime: WorkflowTester) -> str:
    """Subscribed, and charged for the first time; if that fails, twice more within a week."""
    input = {"customer_id": "C-7", "prices": {"basic": 39, "pro": 99}}
    id = runtime.start("subscription_lifecycle", input, MOCKS / "subscription_lifecycle.yaml")
    runtime.send_event(id, "subscribe")
    runtime.advance(days=10)
    return id


STUCK = ["stuck", "third_line", "communication"]
CLOSED = ["closed"]
ENDS: dict[tuple[Story, str], list[str]] = {
    (order, "refunding/refund"): ["refund_failed"],
    (incident, "ticket"): CLOSED,
    (incident, "triage/classify"): CLOSED,
    (incident, "investigating/logs"): STUCK,
    (incident, "investigating/changes"): STUCK,
    (incident, "investigating/propose"): STUCK,
    (incident, "applying/apply"): STUCK,
    (incident, "verifying/check"): STUCK,
    (incident, "first_line/page_on_call"): CLOSED,
    (incident, "second_line/page_on_call"): CLOSED,
    (incident, "third_line/page_on_call"): CLOSED,
    (incident, "review/draft"): CLOSED,
    (incident, "review/sign_off/revising/rewrite"): CLOSED,
    (subscription, "renewing/charge"): ["ended"],
}
"""By story and position of the failure: the states in which the workflow comes to rest."""


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(("story", "path"), ENDS, ids=lambda part: getattr(part, "__name__", part))
def test_a_shipped_chart_with_a_failure_in_any_position_goes_where_its_states_say(
    story: Story, path: str, type: str
) -> None:
    with WorkflowTester.embedded(ROOT / "definitions") as runtime:
        runtime.fail(path, type, "坏了")
        document = runtime.result(story(runtime)).document
        assert document["current_states"] == ENDS[story, path]
        entry = document["node_executions"][path]
        assert (entry["status"], entry["error"]["type"]) == ("failed", type)


def test_every_agent_and_tool_of_the_shipped_charts_is_among_the_positions() -> None:
    for story in (order, incident, subscription):
        with WorkflowTester.embedded(ROOT / "definitions") as runtime:
            plan = decode_plan(bytes(runtime.recording(story(runtime)).plan))
            paths = {path for path, number in plan.numbers.items() if plan.node(number).pool is not None}
            assert paths == {path for told, path in ENDS if told is story}
