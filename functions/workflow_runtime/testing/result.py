"""What a test sees of an execution, and assertions that say what was there instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.engine.commands import RecordNode, RunNode
from workflow_runtime.engine.events import NodeFailed, NodeSucceeded, NodeYielded
from workflow_runtime.errors import error_line
from workflow_runtime.language.json_values import Json
from workflow_runtime.testing.differences import (
    Steps,
    differences_text,
    json_differences,
    path_differences,
    path_matches,
    path_text,
    shown,
)
from workflow_runtime.testing.steps import Expected, transition_differences

if TYPE_CHECKING:
    from typing import Self

    from workflow_runtime.runtime.services import Runtime

RAN = ("success", "compensated", "failed")
ENDED = (NodeSucceeded, NodeFailed, NodeYielded)


class Result(msgspec.Struct, frozen=True):
    """An execution as it was when it ended or came to rest.

    ``document``: the execution document. ``path``: the nodes that ran (succeeded or failed), those that undid others
    too, in the order in which they were started. Every ``assert_…`` returns the result, so that they can be chained.
    """

    document: dict[str, Json]
    path: tuple[str, ...]

    @property
    def execution_id(self) -> str:
        return str(self.document["execution_id"])

    @property
    def status(self) -> str:
        return str(self.document["status"])

    @property
    def output(self) -> Json:
        return self.document["output"]

    @property
    def error(self) -> dict[str, Json] | None:
        error: dict[str, Json] | None = self.document["error"]
        return error

    @property
    def nodes(self) -> dict[str, dict[str, Json]]:
        """The node runs, by path: ``status``, ``output``, ``error``, ``attempts`` …"""
        entries: dict[str, dict[str, Json]] = self.document["node_executions"]
        return entries

    @property
    def states(self) -> list[str]:
        """The active leaf states of the chart at the top; after the end, the final state."""
        states: list[str] = self.document["current_states"]
        return states

    @property
    def transitions(self) -> list[dict[str, Json]]:
        transitions: list[dict[str, Json]] = self.document["transitions"]
        return transitions

    @property
    def variables(self) -> dict[str, Json]:
        variables: dict[str, Json] = self.document["variables"]
        return variables

    @property
    def compensation(self) -> str | None:
        """``completed`` or ``failed`` once what had succeeded was undone; None if nothing was."""
        compensation: str | None = self.document["compensation"]
        return compensation

    @property
    def compensations(self) -> list[dict[str, Json]]:
        """One entry per visit that is or was undone, the one that completed last first: ``node``, ``status`` …"""
        compensations: list[dict[str, Json]] = self.document["compensations"]
        return compensations

    def assert_compensated(self, *nodes: str) -> Self:
        """The visits of these nodes were undone, no others, the one that completed last first; a node that was visited
        several times stands there as often."""
        __tracebackhide__ = True
        undone = [str(entry["node"]) for entry in self.compensations if entry["status"] == "success"]
        if undone != list(nodes):
            self._refuse(
                f"expected {', '.join(nodes) or 'nothing'} to be undone, it was {', '.join(undone) or 'nothing'}"
            )
        return self

    def assert_states(self, *states: str, machine: str = "") -> Self:
        """These leaf states are active, no others; of the chart inside the node ``machine``, or of the one at the
        top."""
        __tracebackhide__ = True
        machines = self.document["machines"]
        if machine and machine not in machines:
            self._refuse(f"no chart has begun at {machine!r}; there are: {', '.join(machines) or 'none'}")
        found = machines[machine]["current_states"] if machine else self.states
        if sorted(found) != sorted(states):
            wanted, active = ", ".join(states) or "(none)", ", ".join(found) or "(none)"
            self._refuse(f"expected the states {wanted}, active are {active}")
        return self

    def assert_transitions(self, *expected: Expected) -> Self:
        """These were the transitions, refusals included, as ``pay: created -> paid``, ``created -> paid``,
        ``pay: not taken``, or some fields of what the document has."""
        __tracebackhide__ = True
        differences = list(transition_differences(expected, self.transitions))
        if differences:
            self._refuse("the transitions differ", differences)
        return self

    def assert_variables(self, **expected: Json) -> Self:
        """These variables have these values; there may be others."""
        __tracebackhide__ = True
        differences = list(json_differences(expected, self.variables, partial=True, place="variables"))
        if differences:
            self._refuse("the variables differ", differences)
        return self

    def assert_status(self, status: str) -> Self:
        __tracebackhide__ = True
        if self.status != status:
            self._refuse(f"expected the execution to be {status}, it is {self.status}")
        return self

    def assert_completed(self) -> Self:
        __tracebackhide__ = True
        return self.assert_status("completed")

    def assert_failed(self, type: str | None = None, message: str | None = None, node: str | None = None) -> Self:
        """It failed; with an error of this ``type``, whose message contains ``message``, that began at ``node``."""
        __tracebackhide__ = True
        self.assert_status("failed")
        error = self.error or {}
        wrong = []
        if type is not None and error.get("type") != type:
            wrong.append(f"error type: expected {shown(type)}, is {shown(error.get('type'))}")
        if message is not None and message not in str(error.get("message")):
            wrong.append(f"error message: expected it to contain {shown(message)}, is {shown(error.get('message'))}")
        if node is not None and error.get("node") != node:
            wrong.append(f"error node: expected {shown(node)}, is {shown(error.get('node'))}")
        if wrong:
            self._refuse("the execution failed in another way", wrong)
        return self

    def assert_output(self, expected: Json, *, partial: bool = False) -> Self:
        """The output equals ``expected``; ``partial``: it may have more keys."""
        __tracebackhide__ = True
        differences = list(json_differences(expected, self.output, partial=partial))
        if differences:
            self._refuse("the output differs", differences)
        return self

    def assert_path(self, expected: Steps) -> Self:
        """These nodes ran, no others, started in this order; nodes in an inner set in any order."""
        __tracebackhide__ = True
        if not path_matches(expected, self.path):
            lines = [f"expected: {path_text(expected)}", f"ran:      {path_text(self.path)}"]
            self._refuse("other nodes ran", [*lines, *path_differences(expected, self.path)])
        return self

    def assert_skipped(self, *nodes: str) -> Self:
        """These nodes were skipped."""
        __tracebackhide__ = True
        return self._assert_nodes(dict.fromkeys(nodes, "skipped"))

    def assert_succeeded(self, *nodes: str) -> Self:
        """These nodes succeeded."""
        __tracebackhide__ = True
        return self._assert_nodes(dict.fromkeys(nodes, "success"))

    def assert_node(self, node: str, **expected: Json) -> Self:
        """Fields of a node run have these values: ``assert_node("send", status="success", attempts=2)``."""
        __tracebackhide__ = True
        self._assert_known([node])
        differences = list(json_differences(expected, self.nodes[node], partial=True, place=node))
        if differences:
            self._refuse(f"node {node!r} differs", differences)
        return self

    def _assert_nodes(self, wanted: dict[str, str]) -> Self:
        __tracebackhide__ = True
        self._assert_known(list(wanted))
        found = {node: str(self.nodes[node]["status"]) for node in wanted}
        wrong = [
            f"{node}: expected {status}, is {found[node]}" for node, status in wanted.items() if found[node] != status
        ]
        if wrong:
            self._refuse("nodes ended in other ways", wrong)
        return self

    def _assert_known(self, nodes: list[str]) -> None:
        __tracebackhide__ = True
        unknown = [node for node in nodes if node not in self.nodes]
        if unknown:
            self._refuse(f"the workflow has no node {', '.join(map(repr, unknown))}")

    def _refuse(self, what: str, lines: list[str] | None = None) -> None:
        __tracebackhide__ = True
        body = differences_text(iter(lines or []))
        raise AssertionError("\n".join(part for part in (what, body, self.summary()) if part))

    def summary(self) -> str:
        """The execution in a few lines, for messages."""
        head = f"execution {self.execution_id} of {self.document['workflow_id']!r}: {self.status}"
        if self.error is not None:
            head += f", {error_line(self.error)}"
        if self.states:
            head += f"\n  in {', '.join(self.states)}"
        width = max((len(node) for node in self.nodes), default=0)
        return "\n".join([head, *(f"  {node:<{width}}  {_outcome(entry)}" for node, entry in self.nodes.items())])


def _outcome(entry: dict[str, Json]) -> str:
    text = str(entry["status"])
    if entry["error"] is not None:
        text += f"  {entry['error']['type']}: {entry['error']['message']}"
    elif entry["status"] == "success":
        text += f"  {shown(entry['output'])}"
    elif entry["waiting_on"]:
        text += f" (waiting on {entry['waiting_on']})"
    return text


def result_of(services: Runtime, execution_id: str) -> Result:
    """The execution as it is now. Raises `RequestError` (``not_found``)."""
    document = services.documents.document(execution_id)
    entries = document["node_executions"]
    started: list[str] = []
    for entry in services.viewed_stores.executions.journal(execution_id):
        # What a worker began in place after another node was ordered by no command: its end tells of it.
        started += [event.path for event in entry.events if isinstance(event, ENDED)]
        started += [command.path for command in entry.commands if isinstance(command, (RunNode, RecordNode))]
    path = tuple(node for node in dict.fromkeys(started) if node in entries and entries[node]["status"] in RAN)
    return Result(document, path)
