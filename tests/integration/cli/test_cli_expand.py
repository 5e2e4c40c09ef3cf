"""Teams of agents, written out as workflows, which run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.cli.conftest import Awr

from workflow_runtime.testing.kit import WorkflowTester

AGENTS = ("triage", "billing", "shipping", "boss")
Answers = Callable[[dict[str, Any]], Any]


@pytest.fixture
def expanded(tmp_path: Path, awr: Awr) -> Callable[..., Path]:
    """The workflow of a team of three, with these fields besides."""
    agents = tmp_path / "definitions" / "agents"
    agents.mkdir(parents=True)
    (agents / "team.yaml").write_text(yaml.safe_dump({"agents": [{"id": id, "model": "test"} for id in AGENTS]}))

    def written(**fields: Any) -> Path:
        team = {"id": "support", "agents": list(AGENTS[:3]), **fields}
        (tmp_path / "team.yaml").write_text(yaml.safe_dump({"team": team}), "utf-8")
        workflow = tmp_path / "definitions" / "workflows" / "support.yaml"
        found = awr("expand", "team.yaml", "-o", workflow)
        assert found.exit_code == 0, found.stderr
        assert found.stderr == "", "the workflow has no findings"
        return workflow

    return written


def ran(workflow: Path, **answers: Answers) -> Any:
    with WorkflowTester.embedded(workflow.parents[1]) as tester:
        for id, answer in answers.items():
            tester.mock_agent(id, answer)
        return tester.run("support", {"message": "Where is my order?"}).assert_completed().output


def test_an_agent_hands_the_conversation_on_and_the_transcript_goes_with_it(expanded: Callable[..., Path]) -> None:
    seen: list[Any] = []

    def shipping(inputs: dict[str, Any]) -> Any:
        seen.append(inputs["transcript"])
        return {"answer": "Tomorrow.", "to": None, "reason": ""}

    output = ran(
        expanded(kind="handoff"),
        triage=lambda _: {"answer": "", "to": "shipping", "reason": "about a parcel"},
        shipping=shipping,
    )
    first = {"by": "triage", "text": "", "to": "shipping", "reason": "about a parcel"}
    assert seen == [[first]], "once each, in order"
    assert (output["answer"], output["by"], output["turns"]) == ("Tomorrow.", "shipping", 1)
    assert len(output["transcript"]) == 2


def test_agents_hand_over_to_each_other_so_often_and_no_more(expanded: Callable[..., Path]) -> None:
    output = ran(
        expanded(kind="handoff", max_turns=3),
        triage=lambda _: {"answer": "ask billing", "to": "billing", "reason": ""},
        billing=lambda _: {"answer": "ask triage", "to": "triage", "reason": ""},
    )
    assert [entry["by"] for entry in output["transcript"]] == ["triage", "billing", "triage", "billing"]


def test_a_lead_gives_tasks_until_it_answers(expanded: Callable[..., Path]) -> None:
    def boss(inputs: dict[str, Any]) -> Any:
        done = [result["by"] for result in inputs["results"]]
        if "billing" in done:
            return {"to": None, "task": "", "answer": f"From {', '.join(done)}."}
        return {"to": "billing" if done else "shipping", "task": "look it up", "answer": ""}

    output = ran(
        expanded(kind="supervisor", lead="boss"),
        boss=boss,
        shipping=lambda inputs: f"shipping: {inputs['task']}",
        billing=lambda _: "paid",
    )
    assert output["answer"] == "From shipping, billing."
    assert output["transcript"][0] == {"by": "shipping", "task": "look it up", "text": "shipping: look it up"}


def test_agents_speak_in_turn_until_one_of_them_is_done(expanded: Callable[..., Path]) -> None:
    def says(inputs: dict[str, Any]) -> Any:
        return {"text": f"{inputs['you']} {len(inputs['transcript'])}", "done": len(inputs["transcript"]) == 4}

    output = ran(expanded(kind="group_chat"), triage=says, billing=says, shipping=says)
    assert [entry["text"] for entry in output["transcript"]] == [
        "triage 0", "billing 1", "shipping 2", "triage 3", "billing 4",
    ]  # fmt: skip
    assert output["by"] == "billing"


def test_a_moderator_or_an_expression_says_who_speaks(expanded: Callable[..., Path]) -> None:
    def says(inputs: dict[str, Any]) -> Any:
        return {"text": inputs["you"], "done": False}

    chosen = ran(
        expanded(kind="group_chat", moderator="boss", max_turns=2),
        boss=lambda _: {"speaker": "shipping"},
        shipping=says,
    )
    assert [entry["by"] for entry in chosen["transcript"]] == ["shipping", "shipping"]
    last_first = ran(
        expanded(kind="group_chat", speaker="${index == 0 ? 'shipping' : 'triage'}", max_turns=2),
        shipping=says,
        triage=says,
    )
    assert [entry["by"] for entry in last_first["transcript"]] == ["shipping", "triage"]


def test_a_debate_ends_with_a_vote_or_with_a_judge(expanded: Callable[..., Path]) -> None:
    def yes(inputs: dict[str, Any]) -> Any:
        return {"position": "yes" if inputs["rounds_before"] else "no", "argument": "because"}

    def no(_: dict[str, Any]) -> Any:
        return {"position": "no", "argument": "because not"}

    voted = ran(expanded(kind="debate", rounds=2), triage=yes, billing=yes, shipping=no)
    assert voted["answer"] == "yes", "the last round counts"
    assert len(voted["rounds"]) == 2
    judged = ran(expanded(kind="debate", judge="boss", rounds=1), triage=yes, billing=yes, shipping=no, boss=no)
    assert judged["answer"] == "no"


@pytest.mark.parametrize(
    ("team", "message"),
    [
        ("team: {id: t, kind: handoff, agents: [a, a]}", "'a' is in `agents` twice"),
        ("team: {id: t, kind: supervisor, agents: [a, b]}", "needs its `lead`"),
        ("team: {id: t, kind: supervisor, lead: a, agents: [a, b]}", "`lead` is one of `agents`, too"),
        ("team: {id: t, kind: handoff, judge: c, agents: [a, b]}", "`judge` is for a team of kind debate"),
        ("team: {id: t, kind: debate, max_turns: 3, agents: [a, b]}", "`rounds`, not `max_turns`"),
        ("team: {id: t, kind: group_chat, speaker: x, moderator: m, agents: [a, b]}", "both say who speaks next"),
        ("team: {id: t, kind: handoff, agents: [lead, b]}", "may be called 'lead'"),
        ("team: {id: t, kind: handoff, agents: [a]}", "agents"),
        ("team: {id: t, kind: hand_off, agents: [a, b]}", "kind"),
        ("team: {id: t, kind: handoff, agnts: [a, b]}", "Did you mean `agents`?"),
        ("team: {id: t, kind: group_chat, speaker: '${', agents: [a, b]}", "comes to no valid workflow"),
        ("teams: []", "expected a team under `team:`"),
        ("team: {id: t, kind: handoff, agents: [a, b]}\nworkflow: {}", "unknown key 'workflow' beside `team`"),
    ],
)
def test_what_is_wrong_with_a_team_is_told(tmp_path: Path, awr: Awr, team: str, message: str) -> None:
    (tmp_path / "team.yaml").write_text(team, "utf-8")
    found = awr("expand", "team.yaml")
    assert found.exit_code == 1
    assert message in found.stderr
    assert found.stdout == ""


def test_a_file_that_somebody_wrote_is_not_overwritten(expanded: Callable[..., Path], awr: Awr) -> None:
    workflow = expanded(kind="handoff")
    expanded(kind="debate")
    workflow.write_text("workflow: {}\n", "utf-8")
    found = awr("expand", "team.yaml", "-o", workflow)
    assert found.exit_code == 1
    assert "was not written by awr expand" in found.stderr
    assert workflow.read_text("utf-8") == "workflow: {}\n"


def test_a_change_of_what_was_written_is_kept(expanded: Callable[..., Path], awr: Awr) -> None:
    workflow = expanded(kind="handoff")
    changed = workflow.read_text("utf-8") + "# 我的\n"
    workflow.write_text(changed, "utf-8")
    found = awr("expand", "team.yaml", "-o", workflow)
    assert found.exit_code == 1
    assert "was changed since" in found.stderr
    assert workflow.read_text("utf-8") == changed
