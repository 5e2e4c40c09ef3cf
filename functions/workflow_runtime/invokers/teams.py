"""Teams of agents as files: what they say, and the workflow that each is short for.

Nothing runs a team. It is written out as a workflow of agents' nodes, loops and charts (`awr expand`), which is then
read, changed, tested and drawn like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from workflow_runtime.invokers.agents.definition import ID_PATTERN
from workflow_runtime.invokers.agents.fields import FrozenModel, as_tuple
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized

AGENTS_MAX = 50  # each is a state or a branch of its own
TURNS_MAX = 1_000

TURNS, ROUNDS = 10, 2  # of teams that do not say

TEXT: dict[str, Json] = {"type": "string"}
LEAD, DECIDING, ANSWERED = "lead", "deciding", "answered"  # states
DEBATE, VERDICT = "rounds", "verdict"  # nodes
OWN_NAMES = frozenset({LEAD, DECIDING, ANSWERED, DEBATE, VERDICT})
"""What no agent of a team may be called: states and nodes are called as the agents are."""

Id = Annotated[str, Field(pattern=ID_PATTERN, max_length=128), AfterValidator(normalized)]


Members = Annotated[tuple[Id, ...], BeforeValidator(as_tuple), Field(min_length=2, max_length=AGENTS_MAX)]


class Team(FrozenModel):
    """A team: ``agents`` by their ids, each once, who answer the ``message`` of an execution's input together.

    - ``supervisor``: the ``lead`` gives tasks to the others, one at a time, until it answers itself
    - ``handoff``: the first agent answers, or hands the conversation on to another one, which does likewise
    - ``group_chat``: they speak in turn, or as ``speaker`` says: an expression that gives an id, or the agent
      ``moderator``; ``until`` one of them says that they are done
    - ``debate``: all take a position at once, ``rounds`` times, knowing what was said before; then they vote, or the
      ``judge`` decides

    ``max_turns``: how many turns, tasks or handoffs there may be.
    """

    id: Id
    kind: Literal["supervisor", "handoff", "group_chat", "debate"]
    agents: Members
    name: str = ""
    description: str = ""
    lead: Id | None = None
    speaker: str | None = None
    moderator: Id | None = None
    judge: Id | None = None
    rounds: Annotated[int, Field(ge=1, le=TURNS_MAX)] | None = None
    max_turns: Annotated[int, Field(ge=1, le=TURNS_MAX)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        twice = sorted({id for id in self.agents if self.agents.count(id) > 1})
        taken = sorted(OWN_NAMES & set(self.agents))
        if taken:
            raise ValueError(f"no agent of a team may be called {taken[0]!r}: a state or a node of it is")
        if twice:
            raise ValueError(f"{', '.join(map(repr, twice))} is in `agents` twice: nobody could tell which one speaks")
        for field, kind in OWN_FIELDS.items():
            if getattr(self, field) is not None and kind != self.kind:
                raise ValueError(f"`{field}` is for a team of kind {kind}, and this one is a {self.kind}")
        if self.kind == "supervisor" and self.lead is None:
            raise ValueError("a supervisor's team needs its `lead`")
        for field in ("lead", "moderator", "judge"):
            if getattr(self, field) in self.agents:
                raise ValueError(f"`{field}` is one of `agents`, too: it cannot be both")
        if self.speaker is not None and self.moderator is not None:
            raise ValueError("`speaker` and `moderator` both say who speaks next")
        if self.max_turns is not None and self.kind == "debate":
            raise ValueError("a debate has `rounds`, not `max_turns`")
        return self


OWN_FIELDS = {
    "lead": "supervisor",
    "speaker": "group_chat",
    "moderator": "group_chat",
    "judge": "debate",
    "rounds": "debate",
}
"""Fields that only one kind of team has."""


def workflow_of(team: Team) -> dict[str, Json]:
    """The definition of the workflow that the team is short for."""
    expand = {"supervisor": _supervisor, "handoff": _handoff, "group_chat": _group_chat, "debate": _debate}
    about = {name: getattr(team, name) for name in ("name", "description") if getattr(team, name)}
    schema = {"type": "object", "required": ["message"], "properties": {"message": TEXT}}
    return {"workflow": {"id": team.id, **about, "input_schema": schema, **expand[team.kind](team)}}


def _object(properties: dict[str, Json]) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _one_of(ids: Sequence[str]) -> dict[str, Json]:
    return {"enum": [*ids, None]}


# ---- charts: who speaks is a state


def _supervisor(team: Team) -> dict[str, Json]:
    assert team.lead is not None
    decision = _object({"to": _one_of(team.agents), "task": TEXT, "answer": TEXT})
    asked: dict[str, Json] = {"message": "${message}", "team": list(team.agents), "results": "${transcript}"}
    decided = {name: f"${{event.data.{name}}}" for name in ("to", "task", "answer")}
    lead = _turn(LEAD, team.lead, asked, decision, DECIDING, decided)
    given: dict[str, Json] = {"task": "${task}", "message": "${message}"}
    members = []
    for id in team.agents:
        done = {"transcript": _appended(id, task="task", text="event.data"), "turns": "${turns + 1}"}
        members.append(_turn(id, id, given, None, LEAD, done))
    return _chart([lead, _deciding(team, "<"), *members], {"task": ""})


def _handoff(team: Team) -> dict[str, Json]:
    states = []
    for id in team.agents:
        others = [other for other in team.agents if other != id]
        reply = _object({"answer": TEXT, "to": _one_of(others), "reason": TEXT})
        asked: dict[str, Json] = {"message": "${message}", "may_hand_to": [*others], "transcript": "${transcript}"}
        said = {
            "transcript": _appended(id, text="event.data.answer", to="event.data.to", reason="event.data.reason"),
            "turns": "${turns + (event.data.to == null ? 0 : 1)}",
            "to": "${event.data.to}",
            "answer": "${event.data.answer}",
            "by": id,
        }
        states.append(_turn(id, id, asked, reply, DECIDING, said))
    return _chart([*states, _deciding(team, "<=")], {"by": ""})


def _chart(states: list[Json], more: dict[str, Json]) -> dict[str, Json]:
    """It begins in the first of its ``states``. ``more``: variables beside those that each such team has."""
    variables: dict[str, Json] = {"transcript": [], "turns": 0, "to": None, "answer": "", **more}
    shown = [name for name in ("answer", "by", "turns", "transcript") if name in variables]
    first: Any = states[0]
    return {
        "type": "hybrid",
        "variables": variables,
        "initial_state": first["name"],
        "final_states": [ANSWERED],
        "states": states,
        "outputs": {name: f"${{{name}}}" for name in shown},
    }


def _turn(
    name: str, agent: str, inputs: dict[str, Json], schema: dict[str, Json] | None, target: str, sets: dict[str, str]
) -> dict[str, Json]:
    """A state in which an agent speaks; then these variables are set."""
    node: dict[str, Json] = {"id": "turn", "type": "agent", "agent": agent, "inputs": inputs}
    if schema is not None:
        node["output_schema"] = schema
    actions: list[Json] = [{"set_variable": {"name": name, "value": value}} for name, value in sets.items()]
    return {"name": name, "run": node, "on_done": {"target": target, "actions": actions}}


def _deciding(team: Team, compared: str) -> dict[str, Json]:
    """Who speaks next. Nobody, or one turn too many: it ends."""
    allowed = f"turns {compared} {team.max_turns or TURNS}"
    chosen: list[Json] = [{"condition": f"to == '{id}' and {allowed}", "target": id} for id in team.agents]
    return {"name": DECIDING, "always": [*chosen, {"target": ANSWERED}]}


def _appended(by: str, **fields: str) -> str:
    """An expression: the transcript with one more entry, made of expressions."""
    entry = ", ".join([f"by: '{by}'", *(f"{name}: {source}" for name, source in fields.items())])
    return f"${{transcript + [{{{entry}}}]}}"


# ---- graphs: turns are passes of a loop


def _group_chat(team: Team) -> dict[str, Json]:
    said = _object({"text": TEXT, "done": {"type": "boolean"}})
    so_far: dict[str, Json] = {"message": "${message}", "team": [*team.agents], "transcript": "${iterations}"}
    listed = ", ".join(f"'{id}'" for id in team.agents)
    body: list[Json] = []
    if team.moderator is not None:
        choice = _object({"speaker": {"enum": list(team.agents)}})
        body.append({"id": "next", "type": "agent", "agent": team.moderator, "inputs": so_far, "output_schema": choice})
    else:
        speaker = team.speaker or f"${{[{listed}][index % {len(team.agents)}]}}"
        body.append({"id": "next", "type": "control", "subtype": "pass", "inputs": {"speaker": speaker}})
    body.append(
        {
            "id": "turn", "type": "agent", "agent": "${next.speaker}", "allow": list(team.agents),
            "inputs": {**so_far, "you": "${next.speaker}"}, "output_schema": said,
        }
    )  # fmt: skip
    chat = {
        "id": "chat", "type": "control", "subtype": "loop", "times": team.max_turns or TURNS,
        "until": "${turn.done}", "body": body, "collect": {"by": "${next.speaker}", "text": "${turn.text}"},
    }  # fmt: skip
    return {
        "type": "dag",
        "nodes": [chat],
        "outputs": {"answer": "${chat[-1].text}", "by": "${chat[-1].by}", "transcript": "${chat}"},
    }


def _debate(team: Team) -> dict[str, Json]:
    position = _object({"position": TEXT, "argument": TEXT})
    asked = {"message": "${message}", "rounds_before": "${iterations}"}
    body: list[Json] = [
        {"id": id, "type": "agent", "agent": id, "inputs": asked, "output_schema": position} for id in team.agents
    ]
    said: list[Json] = [
        {"by": id, "position": f"${{{id}.position}}", "argument": f"${{{id}.argument}}"} for id in team.agents
    ]
    rounds = {
        "id": DEBATE, "type": "control", "subtype": "loop", "times": team.rounds or ROUNDS,
        "body": body, "collect": said,
    }  # fmt: skip
    if team.judge is not None:
        inputs = {"message": "${message}", "rounds": "${rounds}"}
        verdict: dict[str, Json] = {
            "id": VERDICT, "type": "agent", "agent": team.judge, "inputs": inputs, "output_schema": position,
        }  # fmt: skip
        answer = "${verdict.position}"
    else:
        verdict = {
            "id": VERDICT, "type": "aggregation", "strategy": "vote", "items": "${rounds[-1]}", "field": "position",
        }  # fmt: skip
        answer = "${verdict}"
    return {"type": "dag", "nodes": [rounds, verdict], "outputs": {"answer": answer, "rounds": "${rounds}"}}
