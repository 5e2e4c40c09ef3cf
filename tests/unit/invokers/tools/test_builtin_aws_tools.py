"""The built-in tools that call AWS, over fake clients."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from tests.unit.invokers.tools.tool_calls import call_tool, failure, run_tool

from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.tools import Reach, ToolServices
from workflow_runtime.ports import BusEvent, Refusal

OPEN = Reach(email=("*",), database=("*",), functions=("*",))


class Client:
    """Any AWS client: records the arguments of each call and answers, or raises, what it was given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def _call(self, **arguments: Any) -> Any:
        self.calls.append(arguments)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    send_email = execute_statement = invoke = _call

    @property
    def services(self) -> ToolServices:
        return ToolServices(clients=lambda _: self)


EMAIL = {"sender": "a@example.com", "to": "b@example.com", "subject": "主题", "text": "正文"}
QUERY = {"resource_arn": "arn:c", "secret_arn": "arn:s", "sql": "select * from t where id = :id"}
INPUTS: dict[str, dict[str, Any]] = {"send_email": EMAIL, "database_query": QUERY, "lambda_invoke": {"function": "f"}}


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_a_tool_is_off_without_an_allow_list_and_calls_nothing(name: str) -> None:
    client = Client({})
    error = failure(name, INPUTS[name], services=client.services)
    assert error.type == "not_allowed"
    assert "TOOLS_" in error.message
    assert client.calls == []


@pytest.mark.parametrize("name", sorted(INPUTS))
@pytest.mark.parametrize(
    ("raised", "type"),
    [
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "x"), "rate_limited"),
        (ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "slow"}}, "x"), "rate_limited"),
        (ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "no"}}, "x"), "not_found"),
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "x"), "execution_error"),
        (ReadTimeoutError(endpoint_url="https://x"), "timeout"),
    ],
)
def test_aws_errors_are_error_types_of_the_language(name: str, raised: Exception, type: str) -> None:
    assert failure(name, INPUTS[name], reach=OPEN, services=Client(raised).services).type == type


def test_an_email_goes_to_ses() -> None:
    client = Client({"MessageId": "m1"})
    inputs = {**EMAIL, "html": "<p>", "cc": ["c@example.com"]}
    assert run_tool("send_email", inputs, reach=OPEN, services=client.services) == {"message_id": "m1"}
    sent = client.calls[0]
    assert sent["Destination"] == {"ToAddresses": ["b@example.com"], "CcAddresses": ["c@example.com"]}
    assert sent["Content"]["Simple"]["Subject"]["Data"] == "主题"
    assert set(sent["Content"]["Simple"]["Body"]) == {"Text", "Html"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "a\r\nBcc: x@y.com"}, {"to": "b@example.com, c@evil.com"}, {"to": "B <b@example.com>"}, {"to": []},
        {"to": "b@example.com\nBcc: c@evil.com"}, {"sender": "a@b\r\n.com"}, {"text": None},
        {"to": ["b@example.com"] * 51},
        {"reply_to": ["x\n@y.com"]}, {"to": "中@example.com"},
    ],
)  # fmt: skip
def test_an_email_that_could_inject_headers_is_refused(wrong: dict[str, Any]) -> None:
    client = Client({"MessageId": "m"})
    assert failure("send_email", {**EMAIL, **wrong}, reach=OPEN, services=client.services).type == "validation_error"
    assert client.calls == []


def test_every_recipient_must_be_on_the_allow_list() -> None:
    reach = Reach(email=("@example.com", "One@other.org"))
    services = Client({"MessageId": "m"}).services
    assert run_tool("send_email", {**EMAIL, "to": ["X@Example.com", "one@other.org"]}, reach=reach, services=services)
    for inputs in ({"bcc": ["two@other.org"]}, {"to": "x@sub.example.com"}, {"to": "x@evilexample.com"}):
        assert failure("send_email", {**EMAIL, **inputs}, reach=reach, services=services).type == "not_allowed"


def test_values_are_bound_not_spliced() -> None:
    client = Client({"formattedRecords": '[{"id": 1, "名": "x"}]', "numberOfRecordsUpdated": 0})
    values = {"id": 1, "f": 1.5, "s": "'; drop table t", "b": True, "n": None, "j": {"中": [1]}}
    result = run_tool("database_query", {**QUERY, "parameters": values}, reach=OPEN, services=client.services)
    assert result == {"rows": [{"id": 1, "名": "x"}], "updated": 0}
    sent = client.calls[0]
    assert sent["sql"] == QUERY["sql"]
    assert {p["name"]: next(iter(p["value"].items())) for p in sent["parameters"]} == {
        "id": ("longValue", 1),
        "f": ("doubleValue", 1.5),
        "s": ("stringValue", "'; drop table t"),
        "b": ("booleanValue", True),
        "n": ("isNull", True),
        "j": ("stringValue", '{"中":[1]}'),
    }
    assert sent["parameters"][-1]["typeHint"] == "JSON"


@pytest.mark.parametrize(
    "sql", ["select 1; drop table t", "select ';'", "select 1;--\n;select 2", "", " ; ", "a;/**/b"]
)
def test_more_than_one_statement_is_refused(sql: str) -> None:
    client = Client({})
    error = failure("database_query", {**QUERY, "sql": sql}, reach=OPEN, services=client.services)
    assert error.type == "validation_error"
    assert client.calls == []


def test_a_final_semicolon_is_fine_and_an_update_has_no_rows() -> None:
    client = Client({"numberOfRecordsUpdated": 2})
    inputs = {**QUERY, "sql": "update t set a = 1;\n", "database": "d"}
    assert run_tool("database_query", inputs, reach=OPEN, services=client.services) == {"rows": [], "updated": 2}
    assert client.calls[0]["sql"] == "update t set a = 1"
    assert client.calls[0]["database"] == "d"


def test_another_cluster_is_refused() -> None:
    assert failure("database_query", QUERY, reach=Reach(database=("arn:other",))).type == "not_allowed"


def test_a_function_returns_its_json() -> None:
    client = Client({"Payload": io.BytesIO(b'{"a": 1}')})
    inputs = {"function": "f", "payload": {"中": 1}}
    assert run_tool("lambda_invoke", inputs, reach=OPEN, services=client.services) == {"a": 1}
    assert client.calls[0]["Payload"] == '{"中":1}'.encode()
    assert client.calls[0]["InvocationType"] == "RequestResponse"


def test_an_asynchronous_call_is_accepted() -> None:
    client = Client({"StatusCode": 202})
    inputs = {"function": "f", "asynchronous": True}
    assert run_tool("lambda_invoke", inputs, reach=OPEN, services=client.services) == {"accepted": True}
    assert client.calls[0]["InvocationType"] == "Event"


def test_a_functions_error_fails_the_attempt_with_its_reason() -> None:
    answer = {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "KeyError", "errorMessage": "x"}')}
    error = failure("lambda_invoke", {"function": "f"}, reach=OPEN, services=Client(answer).services)
    assert error.type == "execution_error"
    assert "KeyError: x" in error.message


def test_only_allowed_functions_are_called() -> None:
    reach = Reach(functions=("orders-*", "exact"))
    client = Client({"Payload": io.BytesIO(b"")})
    for name in ("orders-get", "exact"):
        assert run_tool("lambda_invoke", {"function": name}, reach=reach, services=client.services) is None
    for name in ("exact2", "admin", "arn:aws:lambda:x:1:function:orders-get"):
        assert failure("lambda_invoke", {"function": name}, reach=reach, services=client.services).type == "not_allowed"


class FakeBus:
    def __init__(self, refusals: Sequence[Refusal] = (), error: Exception | None = None) -> None:
        self.events: list[BusEvent] = []
        self._refusals = list(refusals)
        self._error = error

    def publish(self, events: Sequence[BusEvent]) -> list[Refusal]:
        if self._error:
            raise self._error
        self.events.extend(events)
        return self._refusals


PUBLISH: dict[str, Any] = {"topic": "订单已付", "payload": {"编号": 1}}


def test_an_event_is_published_on_the_bus() -> None:
    bus = FakeBus()
    result = run_tool("publish_event", PUBLISH, services=ToolServices(bus=bus))
    assert result == {"topic": "订单已付", "source": "workflow"}
    (event,) = bus.events
    assert (event.source, event.detail_type) == ("workflow", "订单已付")
    detail = msgspec.json.decode(event.detail)
    assert detail["编号"] == 1
    assert detail["workflow_runtime"]["hops"] == 1, "a circle of executions and events ends by counting"


@pytest.mark.parametrize(
    "wrong",
    [{"topic": ""}, {"topic": "x" * 129}, {"source": "aws.s3"}, {"source": "workflow-runtime"}, {"payload": [1]},
     {"payload": {"a": "x" * 1024 * 1024}}],
)  # fmt: skip
def test_an_event_the_bus_would_refuse_or_that_poses_as_another_is_refused(wrong: dict[str, Any]) -> None:
    bus = FakeBus()
    assert failure("publish_event", {**PUBLISH, **wrong}, services=ToolServices(bus=bus)).type == "validation_error"
    assert bus.events == []


def test_a_refusal_or_a_fault_of_the_bus_fails_the_attempt() -> None:
    for bus in (FakeBus([Refusal(0, "no")]), FakeBus(error=RetryableError("down"))):
        assert failure("publish_event", PUBLISH, services=ToolServices(bus=bus)).type == "execution_error"
    assert failure("publish_event", PUBLISH).type == "not_allowed"


def test_reach_reads_its_settings() -> None:
    reach = Reach.from_settings({"TOOLS_HTTP_ALLOW": "api.example.com, 10.0.0.0/8", "TOOLS_EMAIL_ALLOW": " "})
    assert reach == Reach(http=("api.example.com", "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("lambda_invoke", lambda text: {"Payload": io.BytesIO(text)}, None),
        ("database_query", lambda text: {"formattedRecords": text.decode()}, "rows"),
    ],
)
def test_numbers_beyond_64_bits_become_text_and_a_warning(
    name: str, given: Callable[[bytes], Any], field: str | None
) -> None:
    text = b'[{"id": 12345678901234567890123, "snow": 738529527931269425, "share": 1e400, "none": NaN, "s": "\\ud83d"}]'
    result = call_tool(name, INPUTS[name], reach=OPEN, services=Client(given(text)).services)
    assert (result.output if field is None else result.output[field]) == [
        {"id": "12345678901234567890123", "snow": 738529527931269425, "share": "1e400", "none": None, "s": "\ufffd"}
    ]
    assert ["numbers beyond 64 bits" in warning for warning in result.warnings].count(True) == 1
    assert len(result.warnings) == 3


def test_what_a_function_returns_may_be_no_deeper_than_values_are() -> None:
    answer = {"Payload": io.BytesIO(b"[" * 3000 + b"]" * 3000)}
    assert failure("lambda_invoke", {"function": "f"}, reach=OPEN, services=Client(answer).services).type == (
        "execution_error"
    )
