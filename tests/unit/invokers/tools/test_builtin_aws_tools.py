"""The built-in tools that call AWS, over fake clients."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from msgspec.structs import replace
from tests.unit.invokers.tools.tool_calls import call_tool, failure, run_tool

from workflow_runtime.invokers.tools import Reach, ToolServices
from workflow_runtime.invokers.tools.reach import SETTINGS
from workflow_runtime.ports import BusMessage, QueueMessage, TableWrite

OPEN = Reach(email=("*",), database=("*",), functions=("*",), tables=("*",), queues=("*",), buses=("*",))


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


PUBLISH: dict[str, Any] = {"topic": "订单已付", "payload": {"编号": 1}}
SEND: dict[str, Any] = {"queue": "work", "body": {"编号": 1}}
WRITE: dict[str, Any] = {"table": "orders", "key": {"id": "A7"}, "put": {"总额": 5.5}}


def committed(name: str, inputs: dict[str, Any], reach: Reach = OPEN) -> Any:
    """The effect of a call, which itself does nothing."""
    return call_tool(name, inputs, reach=reach).to_commit.effect


def test_an_event_is_published_once_it_is_recorded() -> None:
    result = call_tool("publish_event", PUBLISH)
    event = result.to_commit.effect
    assert isinstance(event, BusMessage)
    assert result.output == {"topic": "订单已付", "source": "workflow", "id": event.id}
    assert (event.source, event.topic, event.bus) == ("workflow", "订单已付", "")
    detail = msgspec.json.decode(event.detail)
    assert detail["编号"] == 1
    assert detail["workflow_runtime"]["hops"] == 1, "a circle of executions and events ends by counting"
    assert detail["workflow_runtime"]["id"] == event.id


@pytest.mark.parametrize(
    "wrong",
    [{"topic": ""}, {"topic": "x" * 129}, {"source": "aws.s3"}, {"source": "workflow-runtime"}, {"payload": [1]},
     {"payload": {"a": "x" * 1024 * 1024}}, {"bus": "no name"}, {"source": ""}],
)  # fmt: skip
def test_an_event_the_bus_would_refuse_or_that_poses_as_another_is_refused(wrong: dict[str, Any]) -> None:
    assert failure("publish_event", {**PUBLISH, **wrong}, reach=OPEN).type == "validation_error"


def test_a_message_is_sent_once_it_is_recorded() -> None:
    message = committed("sqs_send", SEND)
    assert isinstance(message, QueueMessage)
    assert (message.queue, message.body, message.group, message.attributes) == ("work", '{"编号":1}', None, {})
    inputs = {**SEND, "queue": "work.fifo", "body": "as it is", "group": "g", "attributes": {"kind": "new"}}
    message = committed("sqs_send", inputs)
    assert (message.body, message.group, message.attributes) == ("as it is", "g", {"kind": "new"})
    assert committed("sqs_send", {**SEND, "delay": 60}).delay_seconds == 60


def test_ids_are_the_same_whenever_a_call_is_made() -> None:
    assert committed("sqs_send", SEND).id == committed("sqs_send", {**SEND, "body": "other"}).id
    assert len(committed("sqs_send", SEND).id) == 32


@pytest.mark.parametrize(
    "wrong",
    [{"queue": "a b"}, {"queue": "work.fifo"}, {"body": ""}, {"delay": 901}, {"delay": -1}, {"delay": "5"},
     {"queue": "work.fifo", "group": "g", "delay": 5}, {"group": "中"}, {"attributes": {"a": ""}},
     {"attributes": {"idempotency_key": "x"}}, {"body": "x" * 1024 * 1025}, {"body": "\0"}],
)  # fmt: skip
def test_a_message_the_queue_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    assert failure("sqs_send", {**SEND, **wrong}, reach=OPEN).type == "validation_error"


def test_a_write_is_done_as_it_is_recorded() -> None:
    assert committed("dynamodb_write", WRITE) == TableWrite(table="orders", key={"id": "A7"}, put={"总额": 5.5})
    changes = {"set": {"a": [1]}, "add": {"n": 1}, "remove": ["b"], "needs": {"version": 3}}
    inputs = {"table": "orders", "key": {"id": "A7", "n": 1}, **changes}
    wanted = TableWrite(
        table="orders", key={"id": "A7", "n": 1}, set={"a": [1]}, add={"n": 1}, remove=("b",), needs={"version": 3}
    )
    assert committed("dynamodb_write", {**inputs, "add": {"m": 1}}) == replace(wanted, add={"m": 1})
    deleted = {"table": "orders", "key": {"id": "A7"}, "delete": True, "needs": "present"}
    assert committed("dynamodb_write", deleted) == TableWrite(
        table="orders", key={"id": "A7"}, delete=True, needs="present"
    )


@pytest.mark.parametrize(
    "wrong",
    [{"table": "x"}, {"key": {}}, {"key": {"a": True}}, {"key": {"a": 1, "b": 1, "c": 1}}, {"delete": True},
     {"put": None}, {"set": {"a": 1}}, {"needs": "maybe"}, {"needs": {}}, {"put": {"id": 1}}, {"set": {}},
     {"put": {"a": 1e300}}, {"put": {"a": "x" * 500_000}}, {"nonsense": 1}],
)  # fmt: skip
def test_a_write_the_table_would_refuse_is_refused(wrong: dict[str, Any]) -> None:
    error = failure("dynamodb_write", {**WRITE, **wrong}, reach=OPEN)
    assert error.type == "validation_error"
    assert len(error.message) < 300


def test_a_value_nested_deeper_than_a_table_takes_is_refused() -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    assert failure("dynamodb_write", {**WRITE, "put": {"a": value}}, reach=OPEN).type == "validation_error"


@pytest.mark.parametrize(
    ("tool", "inputs", "listed"),
    [
        ("dynamodb_write", WRITE, {"tables": ("ord*", "x")}),
        ("sqs_send", SEND, {"queues": ("work",)}),
        ("publish_event", {**PUBLISH, "bus": "other"}, {"buses": ("other",)}),
    ],
)
def test_only_what_is_listed_is_reached(tool: str, inputs: dict[str, Any], listed: dict[str, Any]) -> None:
    (area,) = listed
    assert committed(tool, inputs, Reach(**listed)) is not None
    off = failure(tool, inputs)
    assert (off.type, SETTINGS[area] in off.message) == ("not_allowed", True)
    other = failure(tool, inputs, reach=Reach(**{area: ("else",)}))
    assert (other.type, "allow-list" in other.message) == ("not_allowed", True)


def test_the_runtimes_own_bus_needs_no_list() -> None:
    assert committed("publish_event", PUBLISH, Reach()) is not None


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
