"""Scenario files: what goes into a workflow, and what must come out, as tests without Python.

::

    workflow: ../../definitions/workflows/customer_support.yaml   # a file, from here; or the id of a workflow
    mocks: ../../definitions/mocks/customer_support.yaml          # a file, from here; or the mocks themselves
    scenarios:
      - name: a complaint goes to the complaint handler
        input: {message: 我要投诉}
        fail: [{node: send, type: timeout, message: no answer, times: 1}]
        expect:
          status: completed
          path: [understand, route, [sentiment_check, compliance_check], send]    # an inner list: in any order
          output: {status: sent}                # these keys, others may be there
          skipped: [inquiry_handler]
          error: {type: timeout, node: send}    # `message`: a part of it
          nodes: {send: {status: success, attempts: 2}}
          events: [execution.started, execution.completed]   # detail types on the bus
      - name: a paid order is shipped
        workflow: order_state_machine
        events:                                 # one after the other, each once all before it has settled
          - {send: pay, data: {payment_method: card}}
          - {at: 24h}                           # so much time passes
          - {at: 2s, send: cancel}              # so much later, while agents and tools run
          - {approve: check, by: ann, data: {amount: 5}}     # or `reject`, with a `comment`: what the node `check` asks
          - {complete: render, output: {url: x}}    # or `fail` with an `error`, or `heartbeat`: the node's task token
          - {bus: {source: shop, detail_type: order.packed, detail: {order_id: o-1}}}
        expect:
          status: running
          states: [shipped]                     # by path of their node for nested charts: {review: [draft]}
          transitions: ["pay: created -> paid", "paid -> shipped", {event: pay, reason: null}]
          variables: {payment_method: card}     # these, others may be there
          published: [order.paid, {detail_type: order.shipped, detail: {order_id: o-1}}]   # by the workflows

Without ``events`` a scenario runs to the execution's end, time passing as it must; with them it ends when all has
settled after the last, and only ``at`` lets timers fire.

A file with one scenario may say all of it at the top. A scenario's own ``workflow`` and ``mocks`` take the place of
the file's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from workflow_runtime.errors import WorkflowRuntimeError
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import Document, read_document
from workflow_runtime.runtime.workflow_files import SUFFIXES
from workflow_runtime.testing.differences import json_differences, shown
from workflow_runtime.testing.kit import WorkflowTester
from workflow_runtime.testing.result import Result
from workflow_runtime.testing.scenario_model import SHARED_KEYS, Expect, Scenario
from workflow_runtime.testing.settings import definitions_of
from workflow_runtime.testing.steps import Step, take


class ScenarioProblem(Exception):
    """A scenario file that says something wrong, or a scenario whose expectations are not met. Its text is all there
    is to show."""


class ScenarioFile(pytest.File):
    """A collected file; one item per scenario."""

    def collect(self) -> Iterator[ScenarioItem]:
        document = read_document(self.path)
        value = document.value
        if not isinstance(value, dict):
            raise ScenarioProblem(f"{self.path}: a scenario file is a mapping")
        if "scenarios" not in value:
            scenario = _scenario(document, (), value)
            yield self._item(document, (), scenario, scenario.name or self.path.stem)
            return
        shared = {key: value[key] for key in value if key != "scenarios"}
        _check_keys(document, (), value, SHARED_KEYS)
        if not isinstance(value["scenarios"], list) or not value["scenarios"]:
            raise _problem(document, ("scenarios",), "`scenarios` is a list of at least one scenario")
        names: dict[str, int] = {}
        for index, entry in enumerate(value["scenarios"]):
            place = ("scenarios", index)
            merged = {**shared, **entry} if isinstance(entry, dict) else entry
            scenario = _scenario(document, place, merged)
            name = normalized(scenario.name) or str(index + 1)
            line = document.position(place)[0]
            if names.setdefault(name, line) != line:
                raise _problem(document, place, f"the scenario of line {names[name]} has the same name, {name!r}")
            yield self._item(document, place, scenario, name)

    def _item(self, document: Document, place: tuple[str | int, ...], scenario: Scenario, name: str) -> ScenarioItem:
        line = document.position(place)[0]
        item: ScenarioItem = ScenarioItem.from_parent(self, name=name, scenario=scenario, line=line)
        return item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (ScenarioProblem, WorkflowRuntimeError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo) if style is None else self._repr_failure_py(excinfo, style)


class ScenarioItem(pytest.Item):
    """One scenario, run in virtual time."""

    def __init__(self, *, scenario: Scenario, line: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.scenario = scenario
        self.line = line

    def runtest(self) -> None:
        scenario = self.scenario
        if scenario.workflow is None:
            raise ScenarioProblem(f"{self.path}:{self.line}: it does not say which `workflow` to run")
        with WorkflowTester.embedded(definitions_of(self.config)) as tester:
            for fail in scenario.fail:
                tester.fail(fail.node, fail.type, fail.message, times=fail.times)
            mocks = self._beside(scenario.mocks) if isinstance(scenario.mocks, str) else scenario.mocks
            execution_id = tester.start(self._workflow(scenario.workflow), scenario.input, mocks)
            if scenario.events:
                take(tester, execution_id, scenario.events)
            result = tester.result(execution_id) if scenario.events else tester.finish(execution_id)
            wrong = list(_unmet(scenario, result, tester))
        if wrong:
            lines = [f"scenario {self.name!r} ({self.path}:{self.line})", *(f"- {text}" for text in wrong)]
            raise ScenarioProblem("\n".join([*lines, result.summary()]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (ScenarioProblem, WorkflowRuntimeError, OSError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, f"scenario: {self.name}"

    def _workflow(self, text: str) -> str | Path:
        return self._beside(text) if text.endswith(SUFFIXES) else text

    def _beside(self, text: str) -> Path:
        return self.path.parent / text


def _unmet(scenario: Scenario, result: Result, tester: WorkflowTester) -> Iterator[str]:
    """Every expectation that is not met."""
    expect = scenario.expect
    checks: list[Any] = [lambda: result.assert_status(expect.status)]
    if expect.error is not None:
        error = expect.error
        checks.append(lambda: result.assert_failed(error.type, error.message, error.node))
    if expect.path is not None:
        path = expect.path
        checks.append(lambda: result.assert_path(path))
    if expect.output is not msgspec.UNSET:
        checks.append(lambda: result.assert_output(expect.output, partial=True))
    checks.append(lambda: result.assert_skipped(*expect.skipped))
    if expect.compensated is not None:
        compensated = expect.compensated
        checks.append(lambda: result.assert_compensated(*compensated))
    for node, fields in expect.nodes.items():
        checks.append(lambda node=node, fields=fields: result.assert_node(node, **fields))
    checks += _chart_checks(expect, result)
    summary = result.summary()
    seen = set()
    for check in checks:
        try:
            check()
        except AssertionError as error:
            text = str(error).removesuffix(summary).strip()
            if text not in seen:
                seen.add(text)
                yield text
    if expect.events is not None:
        types = [str(event["detail-type"]) for event in tester.events]
        if differences := list(json_differences(expect.events, types, place="events")):
            yield "other events were published\n" + "\n".join(
                f"  {line}" for line in [*differences, f"all: {shown(types)}"]
            )
    if expect.published is not None:
        yield from _published_otherwise(expect.published, tester)
    for target in tester.unmet_failures:
        yield f"`fail` names {target!r}, and no agent or tool node of that name ran"


def _chart_checks(expect: Expect, result: Result) -> Iterator[Callable[[], Result]]:
    if expect.states is not None:
        by_machine = expect.states if isinstance(expect.states, dict) else {"": expect.states}
        for machine, states in by_machine.items():
            yield partial(result.assert_states, *states, machine=machine)
    if expect.transitions is not None:
        yield partial(result.assert_transitions, *expect.transitions)
    if expect.variables is not None:
        yield partial(result.assert_variables, **expect.variables)


def _published_otherwise(expected: list[str | dict[str, Json]], tester: WorkflowTester) -> Iterator[str]:
    """How the authors' events on the bus differ from those expected: their detail types, or some of their fields."""
    found = [{"detail_type": event["detail-type"], "detail": event["detail"]} for event in tester.published]
    wanted = [{"detail_type": item} if isinstance(item, str) else item for item in expected]
    if differences := list(json_differences(wanted, found, partial=True, place="published")):
        types = shown([event["detail_type"] for event in found])
        yield "workflows published other events\n" + "\n".join(f"  {line}" for line in [*differences, f"all: {types}"])


def _scenario(document: Document, place: tuple[str | int, ...], value: Any) -> Scenario:
    if isinstance(value, dict):
        _check_keys(document, place, value, Scenario.__struct_fields__)
        if isinstance(value.get("expect"), dict):
            _check_keys(document, (*place, "expect"), value["expect"], Expect.__struct_fields__)
        steps = value.get("events")
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            if isinstance(step, dict):
                _check_keys(document, (*place, "events", index), step, Step.__struct_fields__)
    try:
        return msgspec.convert(value, Scenario)
    except msgspec.ValidationError as error:
        raise _problem(document, place, str(error)) from None


def _check_keys(
    document: Document, place: tuple[str | int, ...], value: dict[str, Any], known: tuple[str, ...]
) -> None:
    for key in value:
        if key not in known:
            raise _problem(document, (*place, key), f"unknown key {key!r}. {did_you_mean(key, known) or ''}".rstrip())


def _problem(document: Document, place: tuple[str | int, ...], message: str) -> ScenarioProblem:
    line, column = document.position(place)
    return ScenarioProblem(f"{document.file}:{line}:{column}: {message}")
