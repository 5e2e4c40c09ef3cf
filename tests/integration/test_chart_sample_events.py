"""The sample events of the shipped charts (`events/<workflow>/`) lead them to their ends, over the bus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflow_runtime.testing import WorkflowTester

ROOT = Path(__file__).parents[2]
DEFINITIONS = ROOT / "definitions"
EVENTS = ROOT / "events"
ADDRESSEE = "ex-018bcfe56800-0123456789abcdef"  # of the samples; whoever uses them puts an execution's id there
STORIES: dict[str, tuple[str, ...]] = {
    "order_state_machine": ("payment_succeeded", "confirm", "ship", "parcel_signed", "@7d"),
    "incident_response": ("alarm_raised", "@20m", "acknowledge", "approve", "@5m", "alarm_raised", "approve", "sign"),
    "subscription_lifecycle": (
        *("customer_registered", "plan_chosen", "@60d", "payment_method_changed", "customer_left", "@30d"),
    ),
}
TRANSITIONS = {
    "order_state_machine": ["pay", "confirm", "ship", "deliver", "timeout"],
    "incident_response": ["acknowledge", "approve", "alarm", "approve", "done.run.review"],
    "subscription_lifecycle": ["subscribe", "payment_method_changed", "cancel"],
}


def in_language(folder: Path, language: str, file: str) -> Path:
    """A sample in a language; one without texts is for all."""
    return path if (path := folder / language / file).exists() else folder / file


def play(runtime: WorkflowTester, workflow: str, language: str) -> dict[str, Any]:
    """Publish the workflow and let its story happen; the execution at its end. The order is started by hand, the
    others by their first event.
    """
    mock(runtime, DEFINITIONS / language / "mocks" / f"{workflow}.yaml")
    runtime.publish(DEFINITIONS / language / "workflows" / f"{workflow}.yaml")
    execution_id = ""
    if workflow == "order_state_machine":
        file = in_language(EVENTS, language, f"{workflow}.input.json")
        execution_id = runtime.start(workflow, json.loads(file.read_text("utf-8")))
    for step in STORIES[workflow]:
        if step.startswith("@"):
            runtime.advance_time(step[1:])
            continue
        text = in_language(EVENTS, language, f"{workflow}/{step}.json").read_text("utf-8")
        event = json.loads(text.replace(ADDRESSEE, execution_id))
        runtime.publish_event(event["source"], event["detail-type"], event["detail"])
        execution_id = execution_id or str(runtime.events[-1]["detail"]["execution_id"])
    return runtime.result(execution_id).document


def mock(runtime: WorkflowTester, file: Path) -> None:
    """The answers of a mock file, for all executions."""
    content = yaml.safe_load(file.read_text("utf-8"))
    for kind, answer in (("agents", runtime.mock_agent), ("tools", runtime.mock_tool)):
        for id, behaviour in content.get(kind, {}).items():
            answer(id, script=behaviour if isinstance(behaviour, list) else [behaviour])


@pytest.mark.parametrize("language", ["", "en"], ids=["chinese", "english"])
@pytest.mark.parametrize("workflow", list(STORIES))
def test_the_sample_events_of_a_chart_lead_it_to_its_end(runtime: WorkflowTester, workflow: str, language: str) -> None:
    document = play(runtime, workflow, language)
    assert document["status"] == "completed", document["current_states"]
    taken = [transition["event"] for transition in document["transitions"] if not transition["reason"]]
    expected = iter(taken)
    assert all(event in expected for event in TRANSITIONS[workflow]), taken


def test_every_sample_event_has_a_part_and_is_as_eventbridge_delivers_it() -> None:
    files = [path for path in EVENTS.glob("*/*.json") if path.parent.name in STORIES]
    parts = {(workflow, step) for workflow, story in STORIES.items() for step in story if not step.startswith("@")}
    assert {(path.parent.name, path.stem) for path in files} == parts
    events = [json.loads(path.read_text("utf-8")) for path in files]
    assert len({event["id"] for event in events}) == len(events), "a repeated id would be taken for a repeated event"
    fields = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
    assert {tuple(event) for event in events} == {fields}
