"""Charts: states, and what a workflow or a node says of its chart.

Targets, names and what a kind of state may have are the compiler's business; this is about each field, and about fields
that mean nothing together.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from workflow_runtime.definition import rules
from workflow_runtime.definition.charts.actions import Actions, recovered_actions
from workflow_runtime.definition.charts.transitions import (
    AfterDefinition,
    AlwaysDefinition,
    EventTransitionDefinition,
    Initial,
    InitialDefinition,
    Merge,
    Reaction,
    TransitionDefinition,
)
from workflow_runtime.definition.fields import MISSING, Object, Value, raise_all, word
from workflow_runtime.definition.ids import Id, Ids
from workflow_runtime.definition.nodes.common import Node, NodeDefinition
from workflow_runtime.definition.nodes.registry import node_type, recovered_node
from workflow_runtime.definition.reading import Many, Model, Reading, Recovery, as_entries, each, one, problem

MAX_STATES = 10_000
"""Children of one state that are looked at; how many a plan may have is the compiler's business."""


def _recovered_run(value: Any, reading: Reading) -> tuple[Model, ...]:
    return tuple(
        recovered_node(item, (), f"run[{position}]", reading) for position, item in enumerate(as_entries(value))
    )


def _by_name(value: Mapping[str, Any]) -> list[Any]:
    """The entries of a mapping of names to states, each with its name in it."""
    return [
        {"name": name, **(item or {})} if item is None or isinstance(item, dict) else item
        for name, item in value.items()
        if not name.startswith("x-")
    ]


class _ByName:
    """Annotation of a list of states: a mapping of names to states says the same."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> object:
            if not isinstance(value, dict):
                return value
            entries = _by_name(value)
            names = [name for name in value if not name.startswith("x-")]
            text = "the state is called `{}` already"
            raise_all(
                [
                    problem(rules.SAID_TWICE, text.format(name), at=(index, "name"))
                    for index, (name, item) in enumerate(zip(names, entries, strict=True))
                    if isinstance(item, dict) and item["name"] != name
                ]
            )
            return entries

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        by_name = {"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": {"x-ref": "NamedState"}}
        return {"anyOf": [handler(schema), by_name]}


def _recovered_states(value: Any, reading: Reading) -> Any:
    return each(StateDefinition)(_by_name(value) if isinstance(value, dict) else value, reading)


STATE_KINDS = ("initial", "normal", "final", "parallel", "history")


class StateDefinition(Model):
    """A state. ``output`` is `MISSING` if absent; a name that could not be read is empty."""

    noun: ClassVar[str] = "a state"
    keeps_null: ClassVar = frozenset({"output"})
    recoveries: ClassVar[Mapping[str, Recovery]] = {
        "states": _recovered_states,
        "run": _recovered_run,
        "transitions": each(EventTransitionDefinition),
        "always": each(AlwaysDefinition),
        "after": each(AfterDefinition),
        "on_enter": recovered_actions,
        "on_exit": recovered_actions,
        "on_done": one(TransitionDefinition),
        "on_error": one(TransitionDefinition),
        "initial": one(InitialDefinition),
        "default": one(InitialDefinition),
    }

    name: Id = Field(description="Unique within the chart.")
    type: Annotated[str, word(*STATE_KINDS)] | None = Field(None, description="Kind of state.")
    description: Value = Field("", description="Free text.")
    metadata: Object = Field({}, description="Free; any keys.")
    on_enter: Actions = Field((), description="Actions when the state is entered.")
    on_exit: Actions = Field((), description="Actions when the state is exited.")
    run: Annotated[tuple[Node, ...], Many(single=True, limit=100_000)] = Field(
        (), description="A graph that runs while the state is active."
    )
    transitions: Annotated[tuple[EventTransitionDefinition, ...], Many(single=True)] = Field(
        (), description="Reactions to events; of several that could, the first is taken."
    )
    always: Annotated[tuple[AlwaysDefinition, ...], Many(single=True)] = Field(
        (), description="Transitions that need no event."
    )
    after: Annotated[tuple[AfterDefinition, ...], Many(single=True)] = Field(
        (), description="Transitions that time takes."
    )
    on_done: Reaction | None = Field(None, description="Taken when its `run` graph, or its child machine, is done.")
    on_error: Reaction | None = Field(None, description="Taken when its `run` graph failed.")
    initial: Initial | None = Field(None, description="What is entered inside it by default.")
    states: Annotated[tuple["StateDefinition", ...], Many(limit=MAX_STATES), _ByName()] = Field(
        (), description="States inside it."
    )
    history: Annotated[str, word("shallow", "deep")] | None = Field(
        None, description="Of a history state: what it remembers; by default `shallow`."
    )
    default: Initial | None = Field(None, description="Of a history state: what is entered when nothing is remembered.")
    output: Value = Field(MISSING, description="Of a final state: the data of its parent's done event (template).")

    @classmethod
    def with_defaults(cls, fields: dict[str, Any], _reading: Reading) -> dict[str, Any]:
        return {"history": "shallow", **fields} if fields.get("type") == "history" else fields

    @model_validator(mode="after")
    def _sense(self) -> Self:
        wrong = [
            problem(rules.COMBINATION, text, hint, (name,))
            for name, text, hint in self._nonsense()
            if getattr(self, name) not in (None, MISSING)
        ]
        if self.type == "parallel" and not self.states:
            wrong.append(problem(rules.REQUIRED, "a parallel state needs `states`, its regions"))
        if self.type == "parallel":
            wrong += [
                problem(
                    rules.COMBINATION,
                    f"`{region.name}` is a region of the parallel state `{self.name}`, so it cannot be final itself",
                    "Give the region `states`, one of them `type: final`: it is done when that is reached.",
                    ("states", position, "type"),
                )
                for position, region in enumerate(self.states)
                if region.type == "final"
            ]
        if self.states and self.type not in ("parallel", "final", "history"):
            wrong += unclear_start(self.states, self.initial, "initial")
        raise_all(wrong)
        return self

    def _nonsense(self) -> list[tuple[str, str, str | None]]:
        """Fields that mean nothing here, if they are given: why, and what to do instead."""
        found: list[tuple[str, str, str | None]] = []
        if self.type != "history":
            need = "only a state of `type: history` has `{}`"
            found += [(name, need.format(name), None) for name in ("history", "default")]
        if self.type not in (None, "final"):
            found.append(("output", f"a state of `type: {self.type}` has no `output`", "Say `type: final`."))
        if self.type == "parallel":
            found.append(("initial", "all regions of a parallel state are entered; there is no `initial`", None))
        elif not self.states:
            found.append(("initial", "`initial` names a state inside this one, which has no `states`", None))
        if not self.run and not self.states:
            found.append(("on_done", "`on_done` needs `run` or `states`: nothing here can be done", None))
        if not self.run:
            found.append(("on_error", "`on_error` needs `run`: nothing here can fail", None))
        return found


def start_of(
    states: Sequence[StateDefinition], given: InitialDefinition | None, finals: Collection[str] = ()
) -> InitialDefinition | None:
    """What is entered first among ``states``: ``given``, the one of type initial, or the only one. None: unclear.

    ``finals``: names of final states besides those of that type.
    """
    if given is not None:
        return given
    marked = [state for state in states if state.type == "initial"]
    enterable = marked or [state for state in states if state.type != "history"]
    candidates = [state for state in enterable if state.type != "final" and state.name not in finals] or enterable
    return InitialDefinition.model_construct(targets=(candidates[0].name,)) if len(candidates) == 1 else None


def unclear_start(
    states: Sequence[StateDefinition], given: InitialDefinition | None, field: str, finals: Collection[str] = ()
) -> list[PydanticCustomError]:
    """What is wrong with how ``states`` say which of them comes first; ``field`` is where it can be said."""
    marked = [(index, state) for index, state in enumerate(states) if state.type == "initial"]
    if len(marked) > 1:
        text = f"`{marked[0][1].name}` is of `type: initial` already"
        return [problem(rules.COMBINATION, text, "Keep one of them.", ("states", marked[1][0], "type"))]
    if marked and given is not None and given.targets != (marked[0][1].name,):
        text = f"`{marked[0][1].name}` is of `type: initial`, but `{field}` names `{', '.join(given.targets)}`"
        return [problem(rules.COMBINATION, text, "Keep one of them.", (field,))]
    if start_of(states, given, finals) is None:
        name = next((state.name for state in states if state.type != "history"), "a state")
        text = "nothing says which state comes first"
        return [problem(rules.REQUIRED, text, f"Add `{field}: {name}`.", ("states",))]
    return []


class ChartDefinition(Model):
    """What a workflow and a state machine node say of their charts."""

    recoveries: ClassVar[Mapping[str, Recovery]] = {
        "states": _recovered_states,
        "initial_state": one(InitialDefinition),
    }

    initial_state: Initial | None = Field(None, description="The state or states a chart starts in.")
    final_states: Ids = Field((), description="States that end the chart; they need no entry in `states`.")
    states: Annotated[tuple["StateDefinition", ...], Many(limit=MAX_STATES), _ByName()] = Field(
        (), description="The states of a chart."
    )
    merge_event_data: Merge = Field(
        None,
        description="`true`: the data of events may overwrite all variables; a list: those; `false`: it becomes none. "
        "By default it becomes variables, but overwrites none that the workflow declares, is given or sets.",
    )
    on_unhandled_event: Annotated[str, word("ignore", "defer", "fail")] = Field(
        "ignore", description="What becomes of an event that nothing handles."
    )
    on_unhandled_error: Annotated[str, word("fail", "ignore")] = Field(
        "fail", description="What becomes of an error that nothing handles."
    )

    def check_chart(self, *, needed: bool) -> None:
        """Refuse a chart without states (if it is ``needed``, or anything is said of it), or without a start."""
        if self.states:
            raise_all(unclear_start(self.states, self.initial_state, "initial_state", self.final_states))
        elif needed or self.initial_state or self.final_states:
            raise problem(
                rules.REQUIRED, "a chart needs `states`", "Write `states:` and `- name: …` below it.", ("states",)
            )


@node_type("state_machine")
class StateMachineNode(NodeDefinition, ChartDefinition):
    """A chart inside a graph; its variables start as the node's inputs."""

    noun: ClassVar[str] = "a state machine node"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self.check_chart(needed=True)
        return self
