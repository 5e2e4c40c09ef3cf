"""What an agent has done stays done, whatever becomes of its worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from pydantic_ai.durable_exec import DurableOperationId
from tests.unit.invokers.agents.visits import Scripted, Visits, begun, visit_steps

from workflow_runtime.engine.awaited import CallAnswer, Wait
from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents.offers import name_for_model
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.sdk import NodeContext
from workflow_runtime.storage.steps import Visit

ASK_BOTH = [("search", {"q": "a"}), ("search", {"q": "b"})]


class SleepingClock:
    """Only tells the time, and sleeps as it is told to."""

    def __init__(self, now: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> None:
        self.now = now
        self.sleep = sleep


class Tools:
    """Counts what is called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def search(self, q: str) -> dict[str, str]:
        self.calls.append(q)
        return {"found": q.upper()}

    def pay(self, amount: int) -> str:
        self.calls.append(amount)
        return f"paid {amount}"

    def broken(self) -> None:
        self.calls.append("broken")
        raise KeyError("no such thing")


@pytest.fixture
def tools() -> Tools:
    return Tools()


def visits(folder: Path, tools: Tools, *turns: Any, names: tuple[str, ...] = ("search",), **fields: Any) -> Visits:
    return Visits(folder, Scripted(*turns), {name: getattr(tools, name) for name in names}, **fields)


def test_each_recorded_model_call_is_paid_once(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    assert world.run().output == "done"
    assert world.run().output == "done"
    assert len(world.model.asked) == 2
    assert sorted(tools.calls) == ["a", "b"]
    assert world.names == ["definition#1", "model#1", "model#2", "tool:search#1", "tool:search#2"]


def test_a_worker_that_dies_goes_on_where_it_was(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, [("search", {"q": "c"})], "done")
    world.model.dies_at = 2
    assert world.fails().type == "execution_error"  # in the tests' process; a worker's is gone
    world.model.dies_at = None
    assert world.run().output == "done"
    assert sorted(tools.calls) == ["a", "b", "c"]
    assert len(world.model.asked) == 4


def test_parallel_calls_are_known_by_their_place_in_the_answer(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    world.run()
    world.forget("tool:search#1")
    world.run()
    assert world.model.told == [{"found": "A"}, {"found": "B"}]
    assert sorted(tools.calls) == ["a", "a", "b"]


def test_a_replay_counts_as_used_what_it_has_really_asked(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    first, second = world.call(), world.call()
    for call in (first, second):
        asyncio.run(world.invoker().invoke(call))
    assert first.meter.usage is not None
    assert first.meter.usage["requests"] == 2
    assert second.meter.usage is None


def test_an_agent_without_tools_records_nothing_that_its_run_records(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, "done", names=())
    assert world.run().output == "done"
    assert world.names == []


def test_an_answer_that_was_not_usable_is_recorded_before_the_model_is_asked_again(
    tmp_path: Path, tools: Tools
) -> None:
    world = visits(tmp_path, tools, "no JSON", "still none", names=(), output_schema={"type": "integer"})
    assert world.fails().type == "validation_error"
    assert world.names == ["definition#1", "model#1"]


def test_a_visit_keeps_the_definition_it_began_with(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done", instructions="old")
    world.model.dies_at = 2
    world.fails()
    world.model.dies_at = None
    world.fields["instructions"] = "new"
    assert world.run().output == "done"
    assert {message.instructions for message in world.model.asked[-1] if hasattr(message, "instructions")} == {"old"}


def test_a_tool_whose_schema_has_changed_under_a_visit_is_an_error(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    world.run()

    def search(q: str, most: int = 3) -> str:
        return f"{q}{most}"

    world.tools["search"] = search
    failure = world.fails()
    assert failure.type == "replay_diverged"
    assert failure.message.startswith("step model 1 was recorded as another one: recorded: 1 message (")
    assert failure.message.endswith("they differ in the tool `search` (has another schema)")


def test_a_new_log_begins_with_nothing_but_the_definition(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    world.run()
    world.run(log=1)
    assert len(world.model.asked) == 4
    assert len(tools.calls) == 2  # `search` may do something, as far as anybody has said: see the next test
    assert world.names[:5] == ["definition#1", "model#1", "model#2", "tool:search#1", "tool:search#2"]
    assert [step.log for step in world.steps].count(1) == 4


def test_a_call_that_may_happen_but_once_is_never_made_again_in_a_visit(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, [("pay", {"amount": 1}), ("pay", {"amount": 1})], "done", names=("pay",))
    world.run()
    assert tools.calls == [1, 1]  # the model wanted both
    world.run(log=1)
    assert tools.calls == [1, 1]
    assert world.model.told == ["paid 1", "paid 1"]


def test_calls_without_effect_are_made_again_in_a_new_log(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    world.effects["search"] = "none"
    world.run()
    world.run(log=1)
    assert sorted(tools.calls) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("on_unknown", ["fail", "retry"])
def test_a_call_of_which_nobody_knows_whether_it_happened_is_what_the_agent_says(
    tmp_path: Path, tools: Tools, on_unknown: str
) -> None:
    world = visits(tmp_path, tools, [("pay", {"amount": 1})], "done", names=("pay",), on_unknown=on_unknown)
    world.run()
    [paid] = [step for step in world.steps if step.name == "tool:pay"]
    world.forget("tool:pay#1")
    world.store.begin(Visit("e", "p", 1, 1), begun(paid))
    if on_unknown == "retry":
        assert world.run().output == "done"
        assert tools.calls == [1, 1]
    else:
        assert world.fails().type == "effect_unknown"
        assert tools.calls == [1]


def test_a_tool_that_fails_tells_the_model_and_a_replay_tells_it_the_same(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, [("broken", {})], "sorry", names=("broken",))
    assert world.run().output == "sorry"
    assert world.model.told == ["execution_error: tool 'broken': KeyError: 'no such thing'"]
    world.run()
    assert tools.calls == ["broken"]


def test_arguments_that_do_not_fit_go_back_to_the_model(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, [("pay", {"amount": "much"})], [("pay", {"amount": 2})], "done", names=("pay",))
    assert world.run().output == "done"
    assert tools.calls == [2]
    assert "argument 'amount'" in str(world.model.asked[1])
    assert world.model.outcomes == ["retried", "success"]


def test_a_tool_may_be_called_as_often_as_its_entry_says(tmp_path: Path, tools: Tools) -> None:
    entry = {"tool": "pay", "limit": 1}
    world = visits(tmp_path, tools, [("pay", {"amount": 1}), ("pay", {"amount": 2})], "ok", names=("pay",))
    world.fields["tools"] = [entry]
    assert world.run().output == "ok"
    assert tools.calls == [1]
    assert world.model.told[1] == "budget_exceeded: only 1 call of this tool may be made, and none is left"


def test_a_call_with_wrong_arguments_does_not_count_for_the_most_of_its_tool(tmp_path: Path) -> None:
    found: list[str] = []

    def look(order: str) -> str:
        found.append(order)
        return f"{order} is there"

    turns = ([("look", {})], [("look", {"order": "乙"})], [("look", {"order": "丙"})], "done")
    world = Visits(tmp_path, Scripted(*turns), {"look": look})
    world.fields["tools"] = [{"tool": "look", "limit": 1}]
    assert world.run().output == "done"
    assert found == ["乙"]
    assert world.model.told[1:] == [
        "乙 is there",
        "budget_exceeded: only 1 call of this tool may be made, and none is left",
    ]
    assert world.run().output == "done"  # as it was recorded
    assert found == ["乙"]


@pytest.mark.parametrize("ending", ["no JSON", "an error of its own"])
def test_a_tool_that_fails_after_it_ran_is_not_told_as_called_with_wrong_arguments(tmp_path: Path, ending: str) -> None:
    paid: list[int] = []

    def pay(amount: int) -> float:
        paid.append(amount)
        if ending == "no JSON":
            return float("nan")
        raise NodeError("validation_error", "the bank wants another currency")

    world = Visits(tmp_path, Scripted([("pay", {"amount": 5})], "done"), {"pay": pay})
    world.effects["pay"] = "once"
    assert world.run().output == "done"
    assert paid == [5]
    assert world.model.told[0].startswith("validation_error: ")
    assert world.model.outcomes == ["failed"]  # not as one to correct the arguments of, and to call again


def test_limits_are_checked_before_parallel_tools_start(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, [("pay", {"amount": n}) for n in range(5)], "ok", names=("pay",))
    world.fields["limits"] = {"tool_calls": 4}
    failure = world.fails()
    assert (failure.type, tools.calls) == ("budget_exceeded", [])
    assert failure.message == "agent 'a': the model asked for 5 tool calls, at most 4 are allowed"


def test_turns_that_only_repeat_calls_end(tmp_path: Path, tools: Tools) -> None:
    turn = [("search", {"q": "a"})]
    world = visits(tmp_path, tools, *[turn] * 9, limits={"turns_without_progress": 2})
    assert world.fails().type == "budget_exceeded"
    assert len(world.model.asked) == 4


def test_tools_with_names_in_any_script_can_be_offered(tmp_path: Path, tools: Tools) -> None:
    name = name_for_model("查询")
    world = Visits(tmp_path, Scripted([(name, {"q": "a"})], "done"), {"查询": tools.search})
    assert name.isascii()
    assert world.run().output == "done"
    assert tools.calls == ["a"]


def test_an_unknown_tool_fails_before_a_model_is_paid(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, "done")
    world.fields["tools"] = ["serch"]
    failure = world.fails()
    assert (failure.type, failure.message) == (
        "not_found",
        "agent 'a': there is no tool 'serch'. Did you mean `search`?",
    )
    assert world.model.asked == []


def test_secrets_stand_in_no_step(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, [("search", {"q": "the key is c4n4ry-c4n4ry"})], "c4n4ry-c4n4ry is it")
    world.run(mask=Mask(["c4n4ry-c4n4ry"]))
    assert tools.calls == ["the key is ***"]
    world.run(mask=Mask(["c4n4ry-c4n4ry"]))
    assert len(world.model.asked) == 2
    items = world.backend.ports.table.query("EX#e", "STEP#")
    assert "c4n4ry" not in str([step.result for step in world.steps]) + str(items)


def test_a_tool_is_told_of_its_call_as_in_a_node(tmp_path: Path) -> None:
    keys: list[str] = []

    def act(x: int, context: NodeContext) -> int:
        keys.append(context.idempotency_key)
        context.warn(f"with {x}")
        return x

    turn = [("act", {"x": 1}), ("act", {"x": 2}), ("act", {"x": 1})]
    world = Visits(tmp_path, Scripted(turn, "done"), {"act": act})
    result = world.run()
    assert len(set(keys)) == 3
    assert all(key.startswith("e:p:1:act:") for key in keys)
    assert sorted(result.warnings) == ["with 1", "with 1", "with 2"]
    assert sorted(world.run().warnings) == sorted(result.warnings)


def test_a_replay_tells_the_model_nothing_twice(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, [("search", {"q": "c"})], "done")
    world.run()
    undisturbed = [len(message.parts) for message in world.model.asked[-1]]
    again = visits(tmp_path / "again", tools, ASK_BOTH, [("search", {"q": "c"})], "done")
    for dies_at in (2, 4):
        again.model.dies_at = dies_at
        again.fails()
    again.model.dies_at = None
    again.run()
    assert [len(message.parts) for message in again.model.asked[-1]] == undisturbed


def lost_during_a_payment(tmp_path: Path, tools: Tools) -> Visits:
    """A worker was lost between a call that must not happen twice and its record."""
    world = visits(tmp_path, tools, [("pay", {"amount": 1})], "done", names=("pay",))
    world.run()
    [paid] = [step for step in world.steps if step.name == "tool:pay"]
    world.forget("tool:pay#1")
    world.store.begin(Visit("e", "p", 1, 1), begun(paid))
    tools.calls.clear()
    return world


def asked_of(world: Visits, **fields: Any) -> Wait:
    result = world.run(**fields)
    [wait] = result.waits
    return wait


def test_people_are_asked_whether_a_call_happened_with_its_arguments(tmp_path: Path, tools: Tools) -> None:
    world = lost_during_a_payment(tmp_path, tools)
    wait = asked_of(world)
    assert (wait.kind, wait.target, wait.data) == ("effect", "pay", {"arguments": {"amount": 1}, "result": None})
    yes = CallAnswer({"arguments": {"amount": 1}, "result": "paid 1"}, approved=True)
    assert world.run(answers={wait.id: yes}).output == "done"
    assert tools.calls == []
    assert world.model.told == ["paid 1"]


def test_an_answer_that_a_call_has_not_happened_lets_it_be_made_once(tmp_path: Path, tools: Tools) -> None:
    world = lost_during_a_payment(tmp_path, tools)
    wait = asked_of(world)
    no = {wait.id: CallAnswer(approved=False)}
    assert world.run(answers=no).output == "done"
    assert tools.calls == [1]


def test_a_call_that_is_lost_again_is_asked_about_again(tmp_path: Path, tools: Tools) -> None:
    world = lost_during_a_payment(tmp_path, tools)
    wait = asked_of(world)
    no = {wait.id: CallAnswer(approved=False)}
    world.run(answers=no)
    [paid] = [step for step in world.steps if step.name == "tool:pay"]
    world.forget("tool:pay#1")  # its worker died before it could record that
    world.store.begin(Visit("e", "p", 1, 1), begun(paid))
    again = asked_of(world, answers=no)
    assert again.id != wait.id
    assert tools.calls == [1]


def test_two_workers_on_one_visit_follow_one_history(tmp_path: Path, tools: Tools) -> None:
    """One of them only seemed to be lost; each has a model that would say something else."""
    world = visits(tmp_path / "one", tools, ASK_BOTH, "first")
    other = visits(tmp_path / "other", tools, [("search", {"q": "z"})], "second")
    other.backend = world.backend
    world.effects["search"] = other.effects["search"] = "none"
    calls = (world.call(), replace(world.call(), serial=1))

    async def both() -> list[Any]:
        runs = [invoker.invoke(call) for invoker, call in zip((world.invoker(), other.invoker()), calls, strict=True)]
        return await asyncio.gather(*runs)

    first, second = asyncio.run(both())
    assert first.output == second.output
    assert len({step.name for step in world.steps if step.name.startswith("model")}) == 1
    assert [step.ordinal for step in world.steps if step.name == "model"] == [1, 2]


def test_who_finds_a_call_begun_waits_for_the_others_lease(tmp_path: Path, tools: Tools) -> None:
    """The other one only seemed to be lost: it ends its call within its lease."""
    world = visits(tmp_path, tools, [("pay", {"amount": 1})], "done", names=("pay",))
    world.run()
    [paid] = [step for step in world.steps if step.name == "tool:pay"]
    world.forget("tool:pay#1")
    visit, clock, slept = Visit("e", "p", 1, 1), world.clock, []
    open_step = world.store.begin(visit, replace(begun(paid), at=clock.now()))

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance_to(clock.now() + round(seconds * 1000))
        if len(slept) == 3:
            world.store.record(visit, paid)

    ports = replace(world.backend.ports, clock=SleepingClock(clock.now, sleep))
    steps = visit_steps(ports, replace(visit, serial=2))
    assert asyncio.run(steps.outcome(open_step)).result == {"value": "paid 1"}
    assert len(slept) == 3


def test_an_agent_that_nobody_wants_any_more_begins_nothing(tmp_path: Path, tools: Tools) -> None:
    world = visits(tmp_path, tools, ASK_BOTH, "done")
    call = world.call()
    call = replace(call, is_ending=lambda: bool(tools.calls))
    result = asyncio.run(world.invoker().invoke(call))
    assert (result.goes_on, result.waits, len(world.model.asked)) == (True, (), 1)


def test_every_operation_that_pydantic_ai_makes_durable_is_known_here() -> None:
    """A new kind has to be looked at: whether it is a step, and what tells that a replay asks the same."""
    known = {
        "ModelRequestId",
        "ModelCompactMessagesId",
        "ModelCancelSuspendedResponseId",
        "CapabilityOperationId",
        "EventStreamHandlerId",
        "ToolsetGetToolsId",
        "ToolsetGetInstructionsId",
        "ToolsetValidateToolArgumentsId",
        "ToolsetCallToolId",
    }
    assert {kind.__name__ for kind in get_args(DurableOperationId)} == known
