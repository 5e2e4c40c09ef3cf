"""The checks that an agent's message, output and calls have to pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tests.unit.invokers.agents.visits import Scripted, Visits

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.agents import AgentRegistry
from workflow_runtime.sdk import ToolError

NO_PROMISE = "not contains(output, '保证')"


class Answers(Scripted):
    """Gives these answers one after the other, the last one for ever."""

    def __call__(self, messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        self.asked.append(messages)
        return ModelResponse(parts=[TextPart(str(self.turns[min(len(self.asked), len(self.turns)) - 1]))])

    @property
    def feedback(self) -> list[str]:
        """What it was told when it was asked again."""
        parts = [part for message in self.asked[-1][1:] if isinstance(message, ModelRequest) for part in message.parts]
        return [str(part.content) for part in parts if isinstance(part, UserPromptPart)]


def guarded(folder: Path, *answers: str, tools: dict[str, Any] | None = None, **guardrails: Any) -> Visits:
    world = Visits(folder, Answers(*answers), tools or {}, guardrails=guardrails)
    world.fields["tools"] = []
    return world


def test_an_output_that_passes_is_the_output(tmp_path: Path) -> None:
    assert guarded(tmp_path, "您好", output=[{"check": NO_PROMISE}]).run().output == "您好"


def test_an_output_that_does_not_pass_fails_the_attempt(tmp_path: Path) -> None:
    failed = guarded(tmp_path, "我保证", output=[{"check": "len(output) > 1"}, {"check": NO_PROMISE}]).fails()
    assert failed.type == "guardrail_failed"
    assert failed.message == f"agent 'a': guardrails.output[1]: `{NO_PROMISE}` does not hold"


def test_the_model_is_told_why_and_asked_again(tmp_path: Path) -> None:
    guardrail = {"check": NO_PROMISE, "on_fail": "retry", "message": "不要作出保证"}
    world = guarded(tmp_path, "我保证", "保证！", "也许", output=[guardrail])
    assert world.run().output == "也许"
    assert isinstance(world.model, Answers)
    assert ["The output cannot be taken: 不要作出保证" in said for said in world.model.feedback] == [True, True]


def test_a_model_is_asked_again_as_often_as_the_guardrail_says(tmp_path: Path) -> None:
    world = guarded(tmp_path, "我保证", output=[{"check": NO_PROMISE, "on_fail": "retry", "max": 3}])
    assert world.fails().type == "guardrail_failed"
    assert len(world.model.asked) == 4


def test_guardrails_take_nothing_from_the_retries_of_the_schema(tmp_path: Path) -> None:
    world = guarded(tmp_path, "1", "x", "2", "3", output=[{"check": "output > 2", "on_fail": "retry"}])
    world.fields |= {"output_schema": {"type": "integer"}, "output_retries": 0}
    failed = world.fails()
    assert failed.type == "validation_error"


def test_a_schema_is_a_guardrail_too(tmp_path: Path) -> None:
    failed = guarded(tmp_path, "1234567", output=[{"check": {"schema": {"maxLength": 5}}}]).fails()
    assert failed.type == "guardrail_failed"
    assert "longer than 5 characters" in failed.message


@pytest.mark.parametrize("check", ["output.text.more > 1", "output", "output + 1 > 2"])
def test_what_cannot_be_checked_has_not_passed(tmp_path: Path, check: str) -> None:
    assert guarded(tmp_path, "x", output=[{"check": check}]).fails().type == "guardrail_failed"


@pytest.mark.parametrize(
    ("said", "output"),
    [(True, "x"), ({"ok": True}, "x"), ({"ok": False, "value": "y"}, "y")],
)
def test_a_tool_may_check_and_give_what_to_take_instead(tmp_path: Path, said: Any, output: str) -> None:
    seen: list[str] = []

    def check(value: str) -> Any:
        seen.append(value)
        return said

    world = guarded(tmp_path, "x", tools={"check": check}, output=[{"check": {"tool": "check"}, "on_fail": "fix"}])
    assert world.run().output == output
    assert world.run().output == output
    assert seen == ["x"], "what it said is recorded"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (False, "the tool 'check' refuses it"),
        ({"ok": False, "reason": "太长"}, "太长"),
        ("yes", "says neither true nor false"),
        ({}, "says neither true nor false"),
    ],
)
def test_a_tool_that_does_not_approve_fails_the_attempt(tmp_path: Path, said: Any, message: str) -> None:
    def check(value: str) -> Any:  # noqa: ARG001
        return said

    failed = guarded(tmp_path, "x", tools={"check": check}, output=[{"check": {"tool": "check"}}]).fails()
    assert failed.type == "guardrail_failed"
    assert message in failed.message


def test_a_check_that_fails_itself_fails_the_attempt_with_its_own_type(tmp_path: Path) -> None:
    def check(value: str) -> Any:  # noqa: ARG001
        raise ToolError("rate_limited", "later")

    failed = guarded(tmp_path, "x", tools={"check": check}, output=[{"check": {"tool": "check"}}]).fails()
    assert failed.type == "rate_limited"
    assert "guardrails.output[0]: the tool 'check' has not checked" in failed.message


def test_an_agent_may_check_and_is_paid_for(tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("{id: judge, model: 'openai:judge'}")
    world = guarded(tmp_path, "我保证", output=[{"check": {"agent": "judge"}}])
    asked: list[str] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        if not info.output_tools:
            return world.model(messages, info)
        part = messages[0].parts[0]
        assert isinstance(part, UserPromptPart)
        asked.append(str(part.content))
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, {"ok": False, "reason": "作了保证"})])

    invoker = world.invoker(FunctionModel(reply))
    call = world.call()
    failed = world.failing(invoker, call)
    assert asked == ['{"value":"我保证"}']
    assert (failed.type, "作了保证" in failed.message) == ("guardrail_failed", True)
    assert call.meter.usage is not None
    assert call.meter.usage["requests"] == 2


def test_a_message_that_does_not_pass_is_never_sent(tmp_path: Path) -> None:
    world = guarded(tmp_path, "x", input=[{"check": "not contains(message, '你好')", "message": "不收问候"}])
    failed = world.fails()
    assert (failed.type, failed.message) == ("guardrail_failed", "agent 'a': guardrails.input[0]: 不收问候")
    assert not world.model.asked


def test_a_tool_may_put_another_message_in_its_place(tmp_path: Path) -> None:
    def hide(value: str) -> dict[str, Any]:
        return {"ok": False, "value": value.replace("你好", "***")}

    world = guarded(tmp_path, "x", tools={"hide": hide}, input=[{"check": {"tool": "hide"}, "on_fail": "fix"}])
    world.run()
    part = world.model.asked[0][0].parts[0]
    assert isinstance(part, UserPromptPart)
    assert part.content == '{"q":"***"}'


class Bank:
    def __init__(self) -> None:
        self.paid: list[int] = []

    def pay(self, amount: int) -> str:
        self.paid.append(amount)
        return "paid"

    def read(self, id: str) -> str:
        return id


@pytest.fixture
def bank() -> Bank:
    return Bank()


def with_tools(folder: Path, bank: Bank, *turns: Any, **fields: Any) -> Visits:
    return Visits(folder, Scripted(*turns), {"pay": bank.pay, "read": bank.read}, **fields)


def test_a_call_whose_arguments_do_not_pass_is_not_made_and_the_model_is_told(tmp_path: Path, bank: Bank) -> None:
    guardrails = {"tools": {"pay": [{"check": "args.amount <= 100", "on_fail": "retry", "message": "at most 100"}]}}
    world = with_tools(
        tmp_path, bank, [("pay", {"amount": 500})], [("pay", {"amount": 50})], "ok", guardrails=guardrails
    )
    assert world.run().output == "ok"
    assert bank.paid == [50]
    assert world.model.told == ["at most 100", "paid"]


def test_a_call_may_fail_the_attempt(tmp_path: Path, bank: Bank) -> None:
    guardrails = {"tools": {"pay": [{"check": "args.amount <= 100"}]}}
    failed = with_tools(tmp_path, bank, [("pay", {"amount": 500})], "ok", guardrails=guardrails).fails()
    assert failed.type == "guardrail_failed"
    assert failed.message == "agent 'a': guardrails.tools.pay[0]: `args.amount <= 100` does not hold"
    assert not bank.paid


def test_checks_of_calls_made_at_once_are_known_by_their_calls(tmp_path: Path, bank: Bank) -> None:
    seen: list[int] = []

    def check(value: dict[str, int]) -> bool:
        seen.append(value["amount"])
        return value["amount"] != 2

    turns = ([("pay", {"amount": 1}), ("pay", {"amount": 2}), ("pay", {"amount": 3})], "ok")
    guardrails = {"tools": {"pay": [{"check": {"tool": "check"}, "on_fail": "retry"}]}}
    world = Visits(tmp_path, Scripted(*turns), {"pay": bank.pay, "check": check}, guardrails=guardrails)
    world.fields["tools"] = ["pay"]
    assert world.run().output == "ok"
    assert world.run().output == "ok"
    assert (sorted(seen), sorted(bank.paid)) == ([1, 2, 3], [1, 3])
    assert [name for name in world.names if "guardrail" in name] == [f"guardrail:tools.pay[0]#{n}" for n in (1, 2, 3)]


def test_a_rule_denies_calls_after_others(tmp_path: Path, bank: Bank) -> None:
    rules = [{"deny": "pay", "when": "any_of(steps, item.tool == 'read' && item.args.id == 'vip')", "message": "no"}]
    turns = ([("pay", {"amount": 1})], [("read", {"id": "vip"}), ("pay", {"amount": 2})], "ok")
    world = with_tools(tmp_path, bank, *turns, rules=rules)
    assert world.run().output == "ok"
    assert bank.paid == [1]
    assert world.run().output == "ok"
    assert bank.paid == [1]


def test_a_call_that_is_denied_does_not_count_for_the_most_that_may_be_made(tmp_path: Path, bank: Bank) -> None:
    rules = [{"deny": "pay", "when": "not any_of(steps, item.tool == 'read')"}]
    turns = (
        [("pay", {"amount": 1})],
        [("read", {"id": "x"})],
        [("pay", {"amount": 1})],
        [("pay", {"amount": 2})],
        "ok",
    )
    world = with_tools(tmp_path, bank, *turns, rules=rules)
    world.fields["tools"] = [{"tool": "pay", "limit": 1}, "read"]
    assert world.run().output == "ok"
    assert bank.paid == [1]
    assert world.run().output == "ok"
    assert bank.paid == [1]


def test_a_rule_that_cannot_be_evaluated_denies(tmp_path: Path, bank: Bank) -> None:
    rules = [{"deny": "pay", "when": "args.amount + 'x' > 1"}]
    world = with_tools(tmp_path, bank, [("pay", {"amount": 1})], "ok", rules=rules)
    assert world.run().output == "ok"
    assert not bank.paid


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("guardrails: {output: [{check: 'otput > 1'}]}", "`check`: `otput` is not known here. Did you mean `output`?"),
        ("guardrails: {output: [{check: 'output >'}]}", "`check`: the expression ends too early"),
        ("guardrails: {output: [{check: 1}]}", "a check is an expression, or a mapping with one of"),
        ("guardrails: {output: [{check: {tol: x}}]}", "Did you mean `tool`?"),
        ("guardrails: {output: [{check: {tool: x, agent: y}}]}", "a check is an expression, or a mapping with one of"),
        ("guardrails: {output: [{check: {schema: {type: objct}}}]}", "not a valid JSON Schema"),
        ("guardrails: {output: [{check: 'true', on_fail: retr}]}", "`on_fail`: must be"),
        ("guardrails: {output: [{check: 'true', on_fail: fix}]}", "`on_fail: fix` needs a tool or an agent"),
        ("guardrails: {output: [{check: 'true', max: 2}]}", "`max` is for `on_fail: retry`"),
        ("guardrails: {input: [{check: 'true', on_fail: retry}]}", "`on_fail: retry` cannot be here"),
        ("guardrails: {tools: {y: [{check: 'true'}]}}", "agent 'a' has no tool 'y'"),
        ("rules: [{deny: y}]", "agent 'a' has no tool 'y'"),
        ("guardrails: {output: [{check: {agent: a}}]}", "in a circle: 'a' calls 'a'"),
        ("rules: [{deny: x, require: approve}]", "a rule has `deny`"),
        ("rules: [{require: approve}]", "a rule has `deny`"),
        ("rules: [{deny: x, when: 'output > 1'}]", "`when`: `output` is not known here"),
    ],
)
def test_a_wrong_guardrail_says_what_and_where(tmp_path: Path, fields: str, expected: str) -> None:
    (tmp_path / "a.yaml").write_text(f"id: a\nmodel: test\ntools: [x]\n{fields}\n")
    with pytest.raises(DefinitionError) as caught:
        _ = AgentRegistry.load(tmp_path).ids
    assert expected in str(caught.value)
    assert "a.yaml:4:" in str(caught.value)
