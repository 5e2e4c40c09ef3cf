"""What a tool's author can rely on: signature, context, results, errors, threads."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, PlainSerializer
from tests.unit.invokers.tools.tool_calls import FixedClock, failure, node_call, run_tool

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools import ToolInvoker, ToolRegistry
from workflow_runtime.invokers.tools.invoker import result_json
from workflow_runtime.invokers.tools.tool import UnusableTool, describe
from workflow_runtime.language.json_values import NotJson
from workflow_runtime.sdk import MARK, NodeContext, ToolError, tool


def registry(*functions: Callable[..., Any]) -> ToolRegistry:
    marks = [(function, getattr(function, MARK)) for function in functions]
    return ToolRegistry(describe(function, mark.id, mark.description) for function, mark in marks)


def call(function: Callable[..., Any], **inputs: Any) -> Any:
    found = registry(function)
    return run_tool(next(iter(found.ids)), inputs, registry=found)


def fails(function: Callable[..., Any], **inputs: Any) -> NodeError:
    found = registry(function)
    return failure(next(iter(found.ids)), inputs, registry=found)


@tool("查询-订单", description="订单的状态")
async def order_status(订单号: str, limit: int = 3, when: datetime.date | None = None) -> dict[str, Any]:
    return {"id": 订单号, "limit": limit, "when": when}


@tool
def blocking(text: str) -> str:
    """Upper case.

    More about it.
    """
    assert threading.current_thread() is not threading.main_thread()
    return text.upper()


def test_the_decorator_leaves_the_function_as_it_is() -> None:
    assert asyncio.run(order_status("A")) == {"id": "A", "limit": 3, "when": None}


def test_id_and_description_default_to_name_and_docstring() -> None:
    found = registry(blocking).get("blocking")
    assert found is not None
    assert found.description == "Upper case."
    assert registry(order_status).ids == {"查询-订单"}


def test_the_signature_becomes_a_json_schema() -> None:
    found = registry(order_status).get("查询-订单")
    assert found is not None
    schema = found.input_schema
    assert schema["required"] == ["订单号"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["limit"] == {"default": 3, "title": "Limit", "type": "integer"}


def test_sync_tools_run_in_a_thread_and_async_ones_do_not() -> None:
    assert call(blocking, text="ab") == "AB"
    assert call(order_status, 订单号="A", when="2026-01-02") == {"id": "A", "limit": 3, "when": "2026-01-02"}


def test_an_integral_number_is_an_integer() -> None:
    assert call(order_status, 订单号="A", limit=2.0)["limit"] == 2


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"订单号": "A", "limti": 1}, "unknown argument 'limti' (Did you mean `limit`?)"),
        ({}, "argument '订单号' is missing"),
        ({"订单号": 1}, "argument '订单号'"),
        ({"订单号": "A", "limit": "3"}, "argument 'limit'"),
        ({"订单号": "A", "limit": 2.5}, "argument 'limit'"),
        ({"订单号": "A", "limit": True}, "argument 'limit'"),
        ({"订单号": "A", "limit": None}, "argument 'limit'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(inputs: dict[str, Any], text: str) -> None:
    error = fails(order_status, **inputs)
    assert error.type == "validation_error"
    assert text in error.message


def test_all_wrong_arguments_are_named_at_once() -> None:
    message = fails(order_status, limit="x", foo=1).message
    assert all(name in message for name in ("limit", "foo", "订单号"))


def test_a_refused_value_is_not_quoted() -> None:
    assert "s3cret" not in fails(order_status, 订单号="A", limit="s3cret").message


def test_the_context_is_injected_and_cannot_be_given() -> None:
    @tool
    async def about(n: int, 上下文: NodeContext) -> dict[str, Any]:
        上下文.logger.info("here")
        return {"path": 上下文.path, "key": 上下文.idempotency_key, "left": 上下文.remaining_seconds(), "n": n}

    assert call(about, n=1) == {"path": "节点", "key": "e1:节点:1", "left": 60, "n": 1}
    assert fails(about, n=1, 上下文={}).type == "validation_error"


def test_the_authors_error_keeps_its_type() -> None:
    @tool
    def refuses() -> None:
        raise ToolError("out_of_stock", "没有了")

    error = fails(refuses)
    assert (error.type, error.message) == ("out_of_stock", "没有了")


@pytest.mark.parametrize(
    ("raised", "type"),
    [(ValueError("bad"), "execution_error"), (TimeoutError(), "timeout"), (StopIteration(), "execution_error"),
     (SystemExit(3), "execution_error"), (KeyboardInterrupt(), "execution_error")],
)  # fmt: skip
def test_whatever_a_blocking_tool_raises_fails_the_attempt_only(raised: BaseException, type: str) -> None:
    @tool
    def explodes() -> None:
        raise raised

    assert fails(explodes).type == type


def test_an_unknown_tool_names_its_neighbours() -> None:
    error = failure("查询_订单", {}, registry=registry(order_status))
    assert error.type == "not_found"
    assert "Did you mean `查询-订单`?" in error.message


def test_a_cancelled_blocking_tool_counts_as_abandoned_until_it_returns() -> None:
    started, release = threading.Event(), threading.Event()

    @tool
    def hangs() -> None:
        started.set()
        release.wait(100)

    invoker = ToolInvoker(registry(hangs), FixedClock())

    async def scenario() -> int:
        task = asyncio.create_task(invoker.invoke(node_call("hangs", {})))
        await asyncio.to_thread(started.wait, 100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return invoker.abandoned

    assert asyncio.run(scenario()) == 1
    release.set()
    for thread in threading.enumerate():
        if thread.name == "tool hangs":
            thread.join(100)
    assert invoker.abandoned == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: describe(lambda *_: None, "x", ""), "cannot be given by name"),
        (lambda: describe(lambda _, /: None, "x", ""), "cannot be given by name"),
    ],
)
def test_a_signature_that_takes_no_names_is_refused(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(UnusableTool, match=text):
        make()


def test_an_annotation_that_cannot_be_checked_is_refused() -> None:
    def takes(lock: threading.Thread) -> None: ...

    def unknown(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for function in (takes, unknown):
        with pytest.raises(UnusableTool):
            describe(function, "x", "")


class Price(BaseModel):
    amount: decimal.Decimal
    text: Annotated[decimal.Decimal, PlainSerializer(lambda value: f"{value} EUR")]


class Model(BaseModel):
    a: datetime.date
    s: set[int]
    prices: dict[int, list[Price]] = {}
    ratio: float = 0


@dataclasses.dataclass
class Data:
    x: Any


def test_pydantic_models_are_written_as_they_write_themselves_and_their_decimals_as_numbers() -> None:
    price = Price(amount=decimal.Decimal("1.10"), text=decimal.Decimal("1.10"))
    model = Model(a=datetime.date(2026, 1, 2), s={1}, prices={1: [price]})
    assert result_json(Data([model])) == {
        "x": [{"a": "2026-01-02", "s": [1], "ratio": 0, "prices": {"1": [{"amount": 1.1, "text": "1.10 EUR"}]}}]
    }


def test_what_is_no_json_in_a_model_is_refused_as_well() -> None:
    with pytest.raises(NotJson, match="nan"):
        result_json(Model(a=datetime.date(2026, 1, 2), s=set(), ratio=float("nan")))


def test_a_result_that_is_no_json_is_a_validation_error() -> None:
    @tool
    async def gives() -> set[int]:
        return {1}

    assert fails(gives).type == "validation_error"


def test_structured_arguments_arrive_as_their_types() -> None:
    @tool
    async def takes(rows: list[Data], kind: Literal["a", "b"] = "a", **rest: Any) -> Any:
        return [type(rows[0]).__name__, kind, rest]

    assert call(takes, rows=[{"x": 1}], other=2) == ["Data", "a", {"other": 2}]
    assert fails(takes, rows=[], kind="c").type == "validation_error"


def test_echo_returns_what_it_is_given() -> None:
    assert run_tool("echo", {"文": [1, None], "self": 2, "context": 3}) == {"文": [1, None], "self": 2, "context": 3}
