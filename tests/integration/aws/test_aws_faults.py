"""What the AWS adapters do when AWS does not do what it was asked: on small fakes of the clients, without waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, ReadTimeoutError

from workflow_runtime.backends.aws.blobs import S3Blobs
from workflow_runtime.backends.aws.bus import EventBridgeBus
from workflow_runtime.backends.aws.faults import ATTEMPTS_MAX, PAUSE_SECONDS_MAX, sleep_up_to
from workflow_runtime.backends.aws.queues import SqsQueues
from workflow_runtime.backends.aws.table import DynamoDbTable
from workflow_runtime.deployment.topology import DISPATCH, node_queue
from workflow_runtime.errors import RetryableError
from workflow_runtime.ports import (
    Absent,
    BusEvent,
    ConditionFailed,
    EffectRefused,
    Equals,
    Item,
    Key,
    Message,
    Put,
    Refusal,
    TableWrite,
)

TOOL = node_queue("tool")
URLS = {TOOL: "https://sqs/1/tool", DISPATCH: "https://sqs/1/dispatch.fifo"}


def client_error(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(cast("Any", response), "Operation")


class FakeClient:
    """Answers each call with the next of ``answers``: a value, an error to raise, or a function of the request."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            self.requests.append({"operation": operation, **request})
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer(request) if callable(answer) else answer

        return call


class Pauses(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def table(*answers: Any) -> tuple[DynamoDbTable, FakeClient, Pauses]:
    client, pauses = FakeClient(*answers), Pauses()
    return DynamoDbTable(cast("Any", client), "t", pauses), client, pauses


def queues(*answers: Any) -> tuple[SqsQueues, FakeClient, Pauses]:
    client, pauses = FakeClient(*answers), Pauses()
    return SqsQueues(cast("Any", client), URLS, pause=pauses), client, pauses


def bus(*answers: Any) -> tuple[EventBridgeBus, FakeClient, Pauses]:
    client, pauses = FakeClient(*answers), Pauses()
    return EventBridgeBus(cast("Any", client), "b", pauses), client, pauses


def keys(count: int) -> list[Key]:
    return [Key("P", f"{number:03d}") for number in range(count)]


def rows(request_keys: list[Any]) -> list[Any]:
    return [{**key, "n": {"N": "1"}} for key in request_keys]


PASSING = [
    client_error("ProvisionedThroughputExceededException"),
    client_error("ThrottlingException"),
    client_error("RequestLimitExceeded"),
    client_error("InternalServerError", 500),
    client_error("ServiceUnavailable", 503),
    client_error("AccessDeniedException"),
    EndpointConnectionError(endpoint_url="https://x"),
    ReadTimeoutError(endpoint_url="https://x"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_faults_that_pass_are_retryable_for_every_port(error):
    blobs = S3Blobs(cast("Any", FakeClient(error, error)), "b")
    calls: list[Callable[[], object]] = [
        lambda: table(error)[0].get(keys(1)),
        lambda: table(error)[0].get(keys(2)),
        lambda: table(error)[0].put(Item(Key("P", "S"), {}), Absent()),
        lambda: table(error)[0].put_all([Item(key, {}) for key in keys(2)]),
        lambda: table(error)[0].update(Key("P", "S"), {"a": 1}, Equals("a", 0)),
        lambda: table(error)[0].delete_all(keys(1)),
        lambda: table(error)[0].query("P"),
        lambda: queues(error)[0].send(TOOL, [Message("x")]),
        lambda: queues(error)[0].set_visibility(TOOL, {"r": 1}),
        lambda: bus(error)[0].publish([BusEvent("s", "t", "{}")]),
        lambda: blobs.put("k", b""),
        lambda: blobs.get("k"),
    ]
    for call in calls:
        with pytest.raises(RetryableError):
            call()


def test_what_the_service_calls_invalid_is_a_value_error():
    for error in (client_error("ValidationException"), ParamValidationError(report="bad")):
        with pytest.raises(ValueError, match="writing P S"):
            table(error)[0].put(Item(Key("P", "S"), {}))


def test_a_failed_condition_is_told_even_when_a_lost_response_hides_that_the_write_was_ours():
    """The SDK retried after a lost response: the first write applied, the second one reports the condition."""
    stored, client, pauses = table(client_error("ConditionalCheckFailedException"))
    with pytest.raises(ConditionFailed):
        stored.put(Item(Key("P", "S"), {"writer": "me"}), Absent())
    assert len(client.requests) == 1
    assert pauses == []


def test_a_conflict_with_a_transaction_is_no_lost_race():
    conflict = client_error("TransactionConflictException")
    stored, client, pauses = table(conflict, conflict, {})
    stored.update(Key("P", "S"), {"a": 1}, Equals("a", 0))
    assert len(client.requests) == 3
    assert pauses == [0.05, 0.1]


def test_conflicts_without_end_are_retryable_and_pauses_are_bounded():
    stored, client, pauses = table(*[client_error("TransactionConflictException")] * ATTEMPTS_MAX)
    with pytest.raises(RetryableError, match=f"{ATTEMPTS_MAX} attempts"):
        stored.put(Item(Key("P", "S"), {}))
    assert len(client.requests) == ATTEMPTS_MAX
    assert len(pauses) == ATTEMPTS_MAX - 1
    assert max(pauses) <= PAUSE_SECONDS_MAX


def test_a_single_key_costs_one_get_and_many_one_batch_per_hundred():
    stored, client, _ = table({})
    assert stored.get([Key("P", "S"), Key("P", "S")]) == {}
    assert [request["operation"] for request in client.requests] == ["get_item"]
    assert client.requests[0]["ConsistentRead"] is True

    def answer(request: Any) -> Any:
        assert request["RequestItems"]["t"]["ConsistentRead"] is True
        return {"Responses": {"t": rows(request["RequestItems"]["t"]["Keys"])}}

    stored, client, _ = table(answer, answer, answer)
    assert set(stored.get(keys(250))) == set(keys(250))
    assert [len(request["RequestItems"]["t"]["Keys"]) for request in client.requests] == [100, 100, 50]


def test_nothing_costs_nothing():
    stored, client, _ = table()
    stored.get([])
    stored.put_all([])
    stored.delete_all([])
    sender, sqs, _ = queues()
    sender.send(TOOL, [])
    sender.send(TOOL, [Message("")])
    publisher, events, _ = bus()
    publisher.publish([])
    assert client.requests == sqs.requests == events.requests == []


def test_unprocessed_keys_are_read_again_at_once_after_progress_and_after_a_pause_without():
    def half(request: Any) -> Any:
        wanted = request["RequestItems"]["t"]["Keys"]
        return {"Responses": {"t": rows(wanted[:2])}, "UnprocessedKeys": {"t": {"Keys": wanted[2:]}}}

    def none(request: Any) -> Any:
        return {"Responses": {}, "UnprocessedKeys": request["RequestItems"]}

    def all_of_it(request: Any) -> Any:
        return {"Responses": {"t": rows(request["RequestItems"]["t"]["Keys"])}, "UnprocessedKeys": {}}

    stored, client, pauses = table(half, none, all_of_it)
    assert set(stored.get(keys(5))) == set(keys(5))
    assert len(client.requests) == 3
    assert pauses == [0.05]
    stored, _, pauses = table(*[none] * ATTEMPTS_MAX)
    with pytest.raises(RetryableError):
        stored.get(keys(5))


def test_unprocessed_writes_are_written_again():
    def some(request: Any) -> Any:
        return {"UnprocessedItems": {"t": request["RequestItems"]["t"][:3]}}

    def none(request: Any) -> Any:
        return {"UnprocessedItems": request["RequestItems"]}

    stored, client, pauses = table(some, none, {}, {"UnprocessedItems": {}})
    stored.put_all([Item(key, {"n": 1}) for key in keys(30)])
    assert [len(request["RequestItems"]["t"]) for request in client.requests] == [25, 3, 3, 5]
    assert pauses == [0.05]
    stored, _, _ = table(*[none] * ATTEMPTS_MAX)
    with pytest.raises(RetryableError):
        stored.delete_all(keys(2))


def test_pages_of_a_query_are_put_together():
    row = {"pk": {"S": "P"}, "sk": {"S": "S"}}
    more = {"Items": [row], "LastEvaluatedKey": row}
    stored, client, _ = table(more, {"Items": [], "LastEvaluatedKey": row}, {"Items": [row]})
    assert len(stored.query("P", "S")) == 2
    assert client.requests[1]["ExclusiveStartKey"] == row
    stored, client, _ = table(more, more)
    assert len(stored.query("P", limit=2)) == 2
    assert len(client.requests) == 2


def test_a_batch_of_messages_is_cut_by_count_and_by_bytes():
    sender, client, _ = queues({}, {}, {})
    sender.send(TOOL, [Message(str(number)) for number in range(25)])
    assert [len(request["Entries"]) for request in client.requests] == [10, 10, 5]
    sender, client, _ = queues({}, {}, {})
    sender.send(
        TOOL, [Message("中" * 200_000), Message("x" * 400_000), Message("x" * 100_000), Message("x" * 1024 * 1024)]
    )
    assert [len(request["Entries"]) for request in client.requests] == [2, 1, 1]


def test_messages_that_failed_for_a_passing_reason_are_sent_again_in_order():
    def fails(*ids: str) -> dict[str, Any]:
        return {"Failed": [{"Id": each, "SenderFault": False, "Code": "InternalError"} for each in ids]}

    messages = [Message(str(n), group="g", deduplication_id=str(n)) for n in range(4)]
    sender, client, pauses = queues(fails("3", "1", "2"), fails("0", "1", "2"), {})
    assert sender.send(DISPATCH, messages) == []
    sent = [[entry["MessageBody"] for entry in request["Entries"]] for request in client.requests]
    assert sent == [["0", "1", "2", "3"], ["1", "2", "3"], ["1", "2", "3"]]
    assert pauses == [0.05]


def test_messages_that_go_on_failing_are_retryable():
    failure = {"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    sender, client, _ = queues(*[failure] * ATTEMPTS_MAX)
    with pytest.raises(RetryableError):
        sender.send(TOOL, [Message("x")])
    assert len(client.requests) == ATTEMPTS_MAX


def test_messages_that_are_the_senders_fault_are_refused_by_their_place():
    answer = {"Failed": [{"Id": "1", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "bad"}]}
    sender, client, _ = queues(answer)
    refusals = sender.send(TOOL, [Message("a"), Message(""), Message("b"), Message("c")])
    assert refusals == [Refusal(1, "the body is empty"), Refusal(2, "InvalidMessageContents: bad")]
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "code",
    [
        "MessageNotInflight",
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
        "AWS.SimpleQueueService.MessageNotInflight",
    ],
)
def test_stale_receipts_are_ignored(code):
    failed = {"Failed": [{"Id": "1", "SenderFault": True, "Code": code, "Message": "stale"}]}
    sender, client, _ = queues(failed)
    sender.set_visibility(TOOL, {"r": 0, "s": 1})
    assert len(client.requests) == 1


def test_visibilities_are_changed_ten_at_a_time_and_a_passing_failure_is_retryable():
    passing = {"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    sender, client, _ = queues({}, passing)
    with pytest.raises(RetryableError, match="InternalError"):
        sender.set_visibility(TOOL, dict.fromkeys(map(str, range(12)), 120))
    assert [len(request["Entries"]) for request in client.requests] == [10, 2]


def test_events_that_failed_for_a_passing_reason_are_published_again():
    first = {
        "FailedEntryCount": 3,
        "Entries": [
            {"EventId": "1"},
            {"ErrorCode": "ThrottlingException"},
            {"ErrorCode": "InternalFailure"},
            {"ErrorCode": "MalformedDetail", "ErrorMessage": "bad"},
        ],
    }
    second = {"FailedEntryCount": 2, "Entries": [{"ErrorCode": "ThrottlingException"}] * 2}
    third = {"FailedEntryCount": 0, "Entries": [{"EventId": "2"}, {"EventId": "3"}]}
    publisher, client, pauses = bus(first, second, third)
    events = [BusEvent("s", f"t{number}", "{}") for number in range(4)]
    assert publisher.publish(events) == [Refusal(3, "MalformedDetail: bad")]
    sent = [[entry["DetailType"] for entry in request["Entries"]] for request in client.requests]
    assert sent == [["t0", "t1", "t2", "t3"], ["t1", "t2"], ["t1", "t2"]]
    assert pauses == [0.05]


def test_events_that_go_on_failing_are_retryable():
    failure = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}
    publisher, _, _ = bus(*[failure] * ATTEMPTS_MAX)
    with pytest.raises(RetryableError):
        publisher.publish([BusEvent("s", "t", "{}")])


def test_events_are_cut_by_count_and_by_bytes():
    done = {"FailedEntryCount": 0, "Entries": []}
    publisher, client, _ = bus(done, done, done)
    publisher.publish([BusEvent("s", "t", '{"x": "' + "x" * 400_000 + '"}') for _ in range(5)])
    assert [len(request["Entries"]) for request in client.requests] == [2, 2, 1]
    publisher, client, _ = bus(done, done)
    publisher.publish([BusEvent("s", "t", "{}") for _ in range(11)])
    assert [len(request["Entries"]) for request in client.requests] == [10, 1]


def test_an_absent_object_is_a_key_error_and_no_fault():
    with pytest.raises(KeyError):
        S3Blobs(cast("Any", FakeClient(client_error("NoSuchKey", 404))), "b").get("k")


def test_the_real_pause_is_at_most_what_was_asked_for():
    sleep_up_to(0)


CANCELLATIONS: list[tuple[list[str], type[Exception], int]] = [
    (["ConditionalCheckFailed", "ConditionalCheckFailed"], ConditionFailed, 1),  # a repeat, whose answer was lost
    (["ValidationError", "None"], ValueError, 1),
    (["None", "ConditionalCheckFailed"], EffectRefused, 1),
    (["None", "ValidationError"], EffectRefused, 1),
    (["TransactionConflict", "None"], RetryableError, ATTEMPTS_MAX),
    (["None", "ThrottlingError"], RetryableError, ATTEMPTS_MAX),
]


@pytest.mark.parametrize(("codes", "raised", "attempts"), CANCELLATIONS)
def test_why_a_transaction_was_cancelled_says_whether_it_is_tried_again(codes, raised, attempts):
    error = client_error("TransactionCanceledException")
    error.response["CancellationReasons"] = [{"Code": code, "Message": "no"} for code in codes]
    asked, client, _ = table(*[error] * ATTEMPTS_MAX)
    write = TableWrite(table="orders", key={"id": "A"}, put={})
    with pytest.raises(raised):
        asked.transact([Put(Item(Key("P", "S"), {}), Absent())], write)
    assert len(client.requests) == attempts
