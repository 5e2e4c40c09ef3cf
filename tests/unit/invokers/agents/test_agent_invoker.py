"""Running agents on pydantic-ai's test models: no network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import exceptions
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.agents import AgentInvoker, AgentRegistry
from workflow_runtime.invokers.invocation import NodeCall, NodeResult
from workflow_runtime.plan.specs import NodeType

FUNCTIONS = Path(__file__).parents[4] / "functions"
SCHEMA = {
    "type": "object",
    "required": ["intent"],
    "additionalProperties": False,
    "properties": {"intent": {"enum": ["投诉", "咨询"]}},
}
AGENTS = """
agents:
  - {id: plain, model: "openai:x", instructions: 你是助手, settings: {temperature: 0.5, max_tokens: 9}}
  - id: 意图
    model: bedrock:x
    output_schema: {type: object, required: [intent], additionalProperties: false,
                    properties: {intent: {enum: [投诉, 咨询]}}}
  - {id: cheap, model: test, limits: {output_tokens: 1}}
  - {id: strict, model: test, output_retries: 0}
  - {id: missing, model: "nosuch:model"}
"""

Reply = Callable[[list[ModelMessage], AgentInfo], ModelResponse]


@pytest.fixture
def registry(tmp_path: Path) -> AgentRegistry:
    (tmp_path / "a.yaml").write_text(AGENTS)
    return AgentRegistry.load(tmp_path)


def node_call(target: str, **fields: Any) -> NodeCall:
    common: dict[str, Any] = {
        "type": NodeType.AGENT,
        "inputs": {"文": "你好", "n": 1},
        "execution_id": "e",
        "workflow_id": "w",
        "path": "p",
        "attempt": 1,
        "idempotency_key": "k",
        "deadline": 0,
    }
    return NodeCall(target=target, **{**common, **fields})


def run(registry: AgentRegistry, model: Any, target: str = "plain", **fields: Any) -> NodeResult:
    return asyncio.run(AgentInvoker(registry, lambda _: model).invoke(node_call(target, **fields)))


def fails(registry: AgentRegistry, model: Any, target: str = "plain", **fields: Any) -> NodeError:
    with pytest.raises(NodeError) as caught:
        run(registry, model, target, **fields)
    return caught.value


def structured(*outputs: Any) -> FunctionModel:
    """Gives these outputs one after the other, the last one forever."""
    left = list(outputs)

    def reply(_messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        output = left.pop(0) if len(left) > 1 else left[0]
        return ModelResponse(parts=[ToolCallPart(info.output_tools[0].name, output)])

    return FunctionModel(reply)


def raising(error: BaseException) -> FunctionModel:
    def reply(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        raise error

    return FunctionModel(reply)


def test_the_inputs_are_the_message_and_the_instructions_the_system_prompt(registry: AgentRegistry) -> None:
    seen: list[tuple[Any, ...]] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        request = messages[0]
        assert isinstance(request, ModelRequest)
        [part] = request.parts
        assert isinstance(part, UserPromptPart)
        seen.append((part.content, info.instructions, dict(info.model_settings or {})))
        return ModelResponse(parts=[TextPart("答")])

    assert run(registry, FunctionModel(reply)).output == "答"
    run(registry, FunctionModel(reply), prompt="问题：你好")
    settings = {"temperature": 0.5, "max_tokens": 9, "max_retries": 0}
    assert seen == [('{"文":"你好","n":1}', "你是助手", settings), ("问题：你好", "你是助手", settings)]


def usage(registry: AgentRegistry, model: Any, target: str = "plain") -> tuple[Any, NodeError | None]:
    """What an attempt used, and how it failed."""
    call, failed = node_call(target), None
    try:
        asyncio.run(AgentInvoker(registry, lambda _: model).invoke(call))
    except NodeError as error:
        failed = error
    return call.meter.usage, failed


def answering(*parts: Any, **fields: Any) -> FunctionModel:
    used = RequestUsage(input_tokens=10, output_tokens=5)
    return FunctionModel(lambda _messages, _info: ModelResponse(parts=list(parts), usage=used, **fields))


def test_usage_is_reported(registry: AgentRegistry) -> None:
    model = answering(TextPart("x"))
    used = {"model": model.model_name, "input_tokens": 10, "output_tokens": 5, "requests": 1}
    assert usage(registry, model) == (used, None)


@pytest.mark.parametrize(
    ("target", "model", "type", "requests"),
    [
        ("意图", answering(TextPart("no")), "validation_error", 2),
        ("cheap", answering(TextPart("x")), "budget_exceeded", 1),
        ("plain", answering(finish_reason="content_filter"), "execution_error", 1),
        ("plain", answering(), "validation_error", 2),
    ],
)
def test_an_attempt_that_fails_was_paid_for_too(
    registry: AgentRegistry, target: str, model: FunctionModel, type: str, requests: int
) -> None:
    used, error = usage(registry, model, target)
    assert error is not None
    assert error.type == type
    assert {**used, "model": ""} == {
        "model": "",
        "input_tokens": 10 * requests,
        "output_tokens": 5 * requests,
        "requests": requests,
    }


def test_an_attempt_that_runs_out_of_time_was_paid_for_too(registry: AgentRegistry) -> None:
    asked = 0
    time_left = asyncio.Timeout(None)

    async def reply(_messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        nonlocal asked
        asked += 1
        if asked == 2:
            time_left.reschedule(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
        return ModelResponse(parts=[TextPart("no")], usage=RequestUsage(input_tokens=10, output_tokens=5))

    call = node_call("意图")

    async def scenario() -> None:
        with pytest.raises(TimeoutError):
            async with time_left:
                await AgentInvoker(registry, lambda _: FunctionModel(reply)).invoke(call)

    asyncio.run(scenario())
    assert call.meter.usage is not None
    assert call.meter.usage["requests"] == 1


def test_an_attempt_that_no_model_answered_cost_nothing(registry: AgentRegistry) -> None:
    assert usage(registry, raising(ConnectionResetError("x")))[0] is None


def test_an_answer_that_was_cut_off_is_a_warning(registry: AgentRegistry) -> None:
    result = run(registry, answering(TextPart("half a sent"), finish_reason="length"))
    assert result.output == "half a sent"
    [warning] = result.warnings
    assert "cut off" in warning
    assert run(registry, answering(TextPart("all"), finish_reason="stop")).warnings == ()


@pytest.mark.parametrize(
    ("given", "reason"),
    [({"a": 12345678901234567890123}, "64 bits"), ('{"a": NaN}', "nan"), ('{"a": 1, "b\\ud83d": 1}', "")],
)
def test_an_output_that_is_no_json_is_asked_for_again_and_then_refused(
    registry: AgentRegistry, given: Any, reason: str
) -> None:
    error = fails(registry, structured(given), output_schema={"type": "object", "properties": {"a": {}}})
    assert error.type == "validation_error"
    assert reason in error.message


@pytest.mark.parametrize(
    "raised",
    [
        asyncio.CancelledError(),
        SystemExit(0),
        KeyboardInterrupt(),
        GeneratorExit(),
        BaseExceptionGroup("several", [SystemExit(1), ValueError("x")]),
    ],
)
def test_whatever_a_models_client_raises_fails_the_attempt_only(registry: AgentRegistry, raised: BaseException) -> None:
    assert fails(registry, raising(raised)).type == "execution_error"


def test_the_agents_schema_makes_the_output_structured(registry: AgentRegistry) -> None:
    assert run(registry, structured({"intent": "投诉"}), "意图").output == {"intent": "投诉"}


def test_the_nodes_schema_comes_before_the_agents_and_that_before_the_fields(registry: AgentRegistry) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    assert run(registry, structured({"a": 1}), "意图", output_schema=schema, output_fields=("b",)).output == {"a": 1}
    assert run(registry, structured({"intent": "投诉"}), "意图", output_fields=("b",)).output == {"intent": "投诉"}
    assert run(registry, structured({"回复": [1], "b": None}), output_fields=("回复", "b")).output == {
        "回复": [1],
        "b": None,
    }


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        ({"type": "array", "items": {"type": "string"}}, ["a", "b"]),
        ({"type": "string"}, "x"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, None),
        ({"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}}, [1]),
    ],
)
def test_a_schema_that_is_no_object_is_wrapped_for_the_model_only(
    registry: AgentRegistry, schema: Any, given: Any
) -> None:
    assert run(registry, structured({"result": given}), output_schema=schema).output == given


def test_a_model_may_mend_its_output_within_one_attempt(registry: AgentRegistry) -> None:
    assert run(registry, structured({"intent": "其他"}, {"intent": "咨询"}), "意图").output == {"intent": "咨询"}


def test_an_output_that_never_matches_is_a_validation_error(registry: AgentRegistry) -> None:
    error = fails(registry, structured({"intent": "其他"}), "意图")
    assert error.type == "validation_error"
    assert "intent" in error.message
    assert fails(registry, structured({}), "strict", output_fields=("a",)).type == "validation_error"


def test_a_text_where_an_output_was_due_is_a_validation_error(registry: AgentRegistry) -> None:
    model = FunctionModel(lambda _messages, _info: ModelResponse(parts=[TextPart("no")]))
    assert fails(registry, model, "意图").type == "validation_error"


def test_the_test_model_fills_any_schema(registry: AgentRegistry) -> None:
    invoker = AgentInvoker(registry)
    result = asyncio.run(invoker.invoke(node_call("strict", output_schema=SCHEMA)))
    assert result.output == {"intent": "投诉"}


SECRET = "sk-s3cret"


@pytest.mark.parametrize(
    ("raised", "type"),
    [
        (exceptions.ModelHTTPError(429, "m", {"message": SECRET}), "rate_limited"),
        (exceptions.ModelRateLimitError("m", SECRET), "rate_limited"),
        (exceptions.ModelHTTPError(401, "m", {"message": f"Incorrect API key {SECRET}"}), "execution_error"),
        (exceptions.ModelHTTPError(400, "m", SECRET), "execution_error"),
        (exceptions.ModelHTTPError(500, "m", SECRET), "execution_error"),
        (exceptions.ModelHTTPError(504, "m", SECRET), "timeout"),
        (exceptions.ModelTimeoutError("m", SECRET), "timeout"),
        (exceptions.ModelRequestTimeout("m", 3.0), "timeout"),
        (exceptions.ModelConnectionError("m", SECRET), "execution_error"),
        (exceptions.ModelQuotaExceededError("m", SECRET), "execution_error"),
        (exceptions.ModelAuthenticationError("m", SECRET), "execution_error"),
        (exceptions.ContentFilterError("filtered"), "execution_error"),
        (exceptions.UnexpectedModelBehavior("odd"), "validation_error"),
        (exceptions.UsageLimitExceeded("too much"), "budget_exceeded"),
        (TimeoutError(SECRET), "timeout"),
        (ValueError(SECRET), "execution_error"),
        (exceptions.FallbackExceptionGroup("all", [exceptions.ModelHTTPError(429, "m", SECRET)]), "rate_limited"),
    ],
)
def test_a_providers_error_is_an_error_type_and_tells_no_secret(
    registry: AgentRegistry, raised: Exception, type: str
) -> None:
    error = fails(registry, raising(raised))
    assert error.type == type
    assert SECRET not in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def limited(**headers: str) -> exceptions.ModelHTTPError:
    return exceptions.ModelHTTPError(
        429, "m", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


@pytest.mark.parametrize(
    ("raised", "seconds"),
    [
        (limited(Retry_After="17"), 17.0),
        (exceptions.ModelHTTPError(503, "m", headers={"retry-after": "5"}), 5.0),
        (limited(), None),
        (exceptions.FallbackExceptionGroup("all", [limited(Retry_After="17"), limited(Retry_After="9")]), 9.0),
        (exceptions.FallbackExceptionGroup("all", [limited(Retry_After="17"), limited()]), None),
    ],
)
def test_the_delay_that_a_provider_asks_for_is_part_of_the_error(
    registry: AgentRegistry, raised: Exception, seconds: float | None
) -> None:
    assert fails(registry, raising(raised)).retry_after == seconds


def test_a_status_and_a_plain_error_code_are_shown(registry: AgentRegistry) -> None:
    raised = exceptions.ModelHTTPError(400, "m", SECRET, provider_error_code="invalid_request_error")
    assert "HTTP 400 (invalid_request_error)" in fails(registry, raising(raised)).message


def test_a_limit_of_the_agent_is_a_budget(registry: AgentRegistry) -> None:
    assert fails(registry, TestModel(custom_output_text="long answer " * 9), "cheap").type == "budget_exceeded"


def test_an_unknown_agent_names_its_neighbours(registry: AgentRegistry) -> None:
    error = fails(registry, TestModel(), "plian")
    assert error.type == "not_found"
    assert "Did you mean `plain`?" in error.message


def test_an_unknown_provider_is_told(registry: AgentRegistry) -> None:
    with pytest.raises(NodeError) as caught:
        asyncio.run(AgentInvoker(registry).invoke(node_call("missing")))
    assert caught.value.type == "execution_error"
    assert "nosuch:model" in caught.value.message


def test_a_missing_provider_package_names_the_extra(registry: AgentRegistry) -> None:
    message = fails(registry, raising(ImportError("openai"))).message
    assert 'pip install "agent-workflow-runtime[openai]"' in message


def test_a_schema_of_the_node_that_is_wrong_itself_is_a_validation_error(registry: AgentRegistry) -> None:
    assert fails(registry, TestModel(), output_schema={"type": "objct"}).type == "validation_error"
    error = fails(registry, TestModel(), output_schema={"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}})
    assert error.type == "validation_error"
    assert "/$defs/b" in error.message


NODE = {
    "type": "object",
    "properties": {"v": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/N"}}},
    "required": ["v"],
}
ROOT = {
    "type": "object",
    "properties": {"v": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["v"],
}
LIST = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#"}]}}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"$defs": {"N": NODE}, "$ref": "#/$defs/N"}, {"v": "a", "kids": [{"v": "b"}]}, {"v": "a", "kids": [{}]}),
        ({"definitions": {"N": {"const": 1}}, "type": "object", "properties": {"t": {"$ref": "#/definitions/N"}}},
         {"t": 1}, {"t": 2}),
        (ROOT, {"v": "a", "kids": [{"v": "b", "kids": [{"v": "c"}]}]}, {"v": "a", "kids": [{"v": "b", "kids": [1]}]}),
        (LIST, {"result": ["a", ["b"]]}, {"result": ["a", [1]]}),
    ],
)  # fmt: skip
def test_references_work_also_those_of_a_schema_to_itself(
    registry: AgentRegistry, schema: Any, good: Any, bad: Any
) -> None:
    assert run(registry, structured(good), output_schema=schema).output == good.get("result", good)
    assert fails(registry, structured(bad), output_schema=schema).type == "validation_error"


def test_without_pydantic_ai_the_extra_is_named(registry: AgentRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = registry.ids
    monkeypatch.delitem(sys.modules, "workflow_runtime.invokers.agents.model_errors", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    error = fails(registry, None)
    assert error.type == "execution_error"
    assert "agent-workflow-runtime[agents]" in error.message
