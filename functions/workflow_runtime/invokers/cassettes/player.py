"""What stands before agents, tools and sub-workflows in a replay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.cassettes.answers import RecordedAnswers, outcome_of, value_of, value_of_child
from workflow_runtime.invokers.cassettes.file import Cassette
from workflow_runtime.invokers.cassettes.sessions import TapedSession
from workflow_runtime.invokers.cassettes.steps import Change, TapedSteps, ToMocks
from workflow_runtime.invokers.cassettes.tape import Tape, VisitPlayed
from workflow_runtime.invokers.invocation import Invoker, InvokerAround, NodeCall, NodeResult, asked_of
from workflow_runtime.invokers.steps import EndsAsRecorded, OffRecord
from workflow_runtime.plan.specs import NodeType

MayCall = Callable[[str], bool]
"""Whether a tool may really be called, by its id."""

NO_CHANGES: Mapping[str, Change] = {}


class Player:
    """Has a cassette answer in one execution.

    ``goes_on``: where something else is asked than is recorded, agents go on without it, and so do the tools that
    ``may_call`` lets through; otherwise it is an error. ``changes``: of agents, by their ids; ``mocked``: agents that
    mocks answer for once they are asked something else.
    """

    def __init__(
        self,
        cassette: Cassette,
        *,
        goes_on: bool = False,
        may_call: MayCall = lambda _: False,
        changes: Mapping[str, Change] = NO_CHANGES,
        mocked: Collection[str] = (),
    ) -> None:
        self.tape = Tape(cassette)
        self.goes_on = goes_on
        self.may_call = may_call
        self.changes = changes
        self.mocked = mocked
        self.departures: list[str] = []

    def depart(self, visit: VisitPlayed, why: str) -> None:
        """Take note that from here on the visit is another one than the recorded one."""
        if visit.departed is None:
            visit.departed = why
            self.departures.append(f"{visit.path}: {why}")

    def stands_in(self, parent: Parent) -> bool:
        """Whether the cassette answers in the place of an execution that ``parent`` starts: always."""
        return bool(parent.execution_id)

    def nodes(self, invoker: Invoker, agents: Invoker | None = None) -> Invoker:
        """What runs the nodes of one type: the cassette, and ``invoker`` for what it lacks. ``agents``: those that go
        by their steps."""
        return _Nodes(self, invoker, agents)

    def calls(self, invoker: Invoker) -> Invoker:
        """What runs the tools that agents call: likewise."""
        return _Calls(self, invoker)


class _Played(InvokerAround):
    """What an invoker in front of another one has in common with that."""

    def __init__(self, player: Player, invoker: Invoker) -> None:
        super().__init__(invoker)
        self._player = player

    async def _call_tool(self, call: NodeCall, why: str) -> NodeResult:
        """Really call a tool, if that is allowed. Raises `NodeError`."""
        if self._player.may_call(call.target):
            return await self._invoker.invoke(call)
        raise OffRecord(f"{why}; it may have effects, and is not called")


class _Calls(_Played):
    """Tools that agents call, once they go another way than the recorded one."""

    async def invoke(self, call: NodeCall) -> NodeResult:
        recorded = self._player.tape.result(f"tool:{call.target}", call.inputs)
        if recorded is not None:
            return NodeResult(value_of(recorded))
        arguments = msgspec.json.encode(call.mask.value(call.inputs)).decode()
        return await self._call_tool(call, f"the record has no call {call.target}({arguments})")


class _Nodes(_Played):
    def __init__(self, player: Player, invoker: Invoker, agents: Invoker | None) -> None:
        super().__init__(player, invoker)
        self._agents = agents

    async def invoke(self, call: NodeCall) -> NodeResult:
        if call.type is NodeType.SUB_WORKFLOW:
            return await self._child(call)
        visit = self._player.tape.visit(call.path, call.visit)
        run = visit.run
        try:
            result = await self._attempt(call, visit)
        except EndsAsRecorded:
            visit.ended += 1
            assert run is not None, "who ends as recorded has a record"
            return outcome_of(run)
        except NodeError as error:
            if error.type == "replay_diverged":
                self._player.depart(visit, error.message)
            visit.ended += 1
            raise
        visit.ended += not result.goes_on
        return result

    async def _attempt(self, call: NodeCall, visit: VisitPlayed) -> NodeResult:
        if self._agents is not None and visit.goes_by_steps and not _is_other_turn(call, visit):
            try:
                return _forgetting(await self._agents.invoke(self._taped(call, visit)))
            except ToMocks:
                return await self._invoker.invoke(call)
        if visit.on_tape is not None and visit.on_tape.in_session:
            raise OffRecord("it goes on from a session, whose turns are not recorded: only the same can be asked again")
        run, change = visit.run, self._player.changes.get(call.target) if call.type is NodeType.AGENT else None
        if run is None:
            why = f"the record has no such run of the {call.type} {call.target!r}"
        elif change is not None:
            why = "its agent is changed"
        elif run.asked in (None, asked_of(call.mask, call.target, call.prompt, call.inputs)):
            raise EndsAsRecorded
        else:
            why = f"the {call.type} {call.target!r} is asked for something else than is recorded"
        if not self._player.goes_on:
            raise OffRecord(why)
        self._player.depart(visit, why)
        if call.type is NodeType.TOOL:
            return await self._call_tool(call, why)
        if self._agents is None or call.target in self._player.mocked:
            return await self._invoker.invoke(call)
        return _forgetting(await self._agents.invoke(self._taped(call, visit)))

    def _taped(self, call: NodeCall, visit: VisitPlayed) -> NodeCall:
        steps = TapedSteps(
            call.steps,
            visit,
            goes_on=self._player.goes_on,
            depart=lambda why: self._player.depart(visit, why),
            change=self._player.changes.get(call.target),
            may_be_mocked=call.target in self._player.mocked,
        )

        def is_ending() -> bool:
            steps.begin_something()
            return call.is_ending()

        answers = RecordedAnswers(call.answers, self._player.tape, self._player.may_call)
        on_tape = visit.on_tape
        turns = on_tape.session if on_tape is not None else UNSET
        sessions = TapedSession(turns) if turns is not UNSET else None
        return replace(call, steps=steps, is_ending=is_ending, answers=answers, sessions=sessions)

    async def _child(self, call: NodeCall) -> NodeResult:
        node = call.parent.node if call.parent is not None else ""
        child = self._player.tape.child(node)
        if child is not None:
            return NodeResult(value_of_child(child))
        why = f"the record has no such execution of {call.target!r}"
        self._player.departures.append(f"{node}: {why}")
        if not self._player.goes_on:
            raise OffRecord(why)
        return await self._invoker.invoke(call)


def _forgetting(result: NodeResult) -> NodeResult:
    """The result of an agent in a replay, whose sessions remember nothing."""
    return replace(result, said=None)


def _is_other_turn(call: NodeCall, visit: VisitPlayed) -> bool:
    """Whether a visit that went on from a session is asked for something else, as far as that is known."""
    run = visit.run
    if run is None or visit.on_tape is None or not visit.on_tape.in_session:
        return False
    asked = run.asked.get("call") if isinstance(run.asked, dict) else run.asked
    return asked not in (None, asked_of(call.mask, call.target, call.prompt, call.inputs))
