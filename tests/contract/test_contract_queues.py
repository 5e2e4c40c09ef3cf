"""The promises of `ports.Queues` and `ports.Poller`."""

from __future__ import annotations

from hashlib import md5

import pytest

from workflow_runtime.ports import Message, Refusal

MAIL, WORK = "mail.fifo", "work"


def mail(body: str, group: str = "g", deduplication_id: str | None = None) -> Message:
    return Message(body, group=group, deduplication_id=deduplication_id or f"{group}-{body}")


def handles(records) -> list[str]:
    return [record.receipt_handle for record in records]


def bodies(records) -> list[str]:
    return [record.event_record["body"] for record in records]


def test_a_record_has_the_shape_that_lambda_gives_a_function(harness):
    harness.queues.send(WORK, [Message('{"a": "中文"}')])
    (received,) = harness.receive(WORK)
    record = received.event_record
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["body"] == '{"a": "中文"}'
    assert record["receiptHandle"] == received.receipt_handle
    assert record["md5OfBody"] == md5('{"a": "中文"}'.encode()).hexdigest()
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"].startswith("arn:aws:sqs:")
    assert record["eventSourceARN"].endswith(WORK)
    assert record["messageAttributes"] == {}
    attributes = record["attributes"]
    assert attributes["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"} <= set(attributes)
    assert "MessageGroupId" not in attributes
    assert len(record["messageId"]) == 36


def test_a_fifo_record_tells_its_group_and_place(harness):
    harness.queues.send(MAIL, [mail("1"), mail("2")])
    first, second = (record.event_record["attributes"] for record in harness.receive(MAIL))
    assert first["MessageGroupId"] == "g"
    assert first["MessageDeduplicationId"] == "g-1"
    assert len(first["SequenceNumber"]) == 20
    if harness.embedded:  # moto makes them up
        assert int(first["SequenceNumber"]) < int(second["SequenceNumber"])


def test_a_group_in_a_standard_queue_holds_nothing_back(harness):
    delayed = Message("3", group="g", delay_seconds=600)
    assert harness.queues.send(WORK, [Message("1", group="g"), Message("2", group="g"), delayed]) == []
    records = harness.receive(WORK)
    assert [record.event_record["body"] for record in records] == ["1", "2"]
    assert {record.event_record["attributes"]["MessageGroupId"] for record in records} == {"g"}


def test_a_received_message_is_hidden_until_its_timeout_and_counted(harness):
    harness.queues.send(WORK, [Message("x")])
    (first,) = harness.receive(WORK)
    assert harness.receive(WORK) == []
    harness.pass_time(31)
    (second,) = harness.receive(WORK)
    assert second.event_record["messageId"] == first.event_record["messageId"]
    assert second.receipt_handle != first.receipt_handle
    assert second.event_record["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_deleted_message_never_comes_back(harness):
    harness.queues.send(WORK, [Message(str(number)) for number in range(3)])
    records = harness.receive(WORK)
    harness.poller.delete(WORK, handles(records))
    harness.poller.delete(WORK, handles(records))
    harness.pass_time(40)
    assert harness.receive(WORK) == []
    assert harness.poller.next_visible_at() is None


def test_any_number_of_messages_is_sent_and_received_in_batches(harness):
    harness.queues.send(WORK, [Message(str(number)) for number in range(25)])
    batches = [harness.bodies(WORK) for _ in range(4)]
    assert [len(batch) for batch in batches] == [10, 10, 5, 0]
    assert {body for batch in batches for body in batch} == {str(number) for number in range(25)}
    assert harness.queues.send(WORK, []) == []


@pytest.mark.parametrize("maximum", [0, 11])
def test_a_receive_is_of_1_to_10(harness, maximum):
    with pytest.raises(ValueError, match="1 to 10"):
        harness.poller.receive(WORK, maximum)


def test_a_delayed_message_waits(harness):
    harness.queues.send(WORK, [Message("later", delay_seconds=900), Message("soon", delay_seconds=60), Message("now")])
    assert harness.bodies(WORK) == ["now"]
    harness.pass_time(61)
    assert "soon" in harness.bodies(WORK)
    harness.pass_time(840)
    assert "later" in harness.bodies(WORK)


def test_visibility_can_be_ended_and_prolonged(harness):
    harness.queues.send(WORK, [Message("x")])
    (first,) = harness.receive(WORK)
    harness.queues.set_visibility(WORK, {first.receipt_handle: 300})
    harness.pass_time(100)
    assert harness.receive(WORK) == []
    harness.queues.set_visibility(WORK, {first.receipt_handle: 0})
    harness.pass_time(1)  # moto compares strictly
    assert harness.bodies(WORK) == ["x"]


@pytest.mark.parametrize("seconds", [-1, 43201])
def test_visibility_is_at_most_12_hours(harness, seconds):
    with pytest.raises(ValueError, match="43200"):
        harness.queues.set_visibility(WORK, {"any": seconds})


def test_unknown_and_spent_receipts_are_ignored(harness):
    harness.queues.send(WORK, [Message("x")])
    (record,) = harness.receive(WORK)
    harness.poller.delete(WORK, [record.receipt_handle])
    harness.queues.set_visibility(WORK, {record.receipt_handle: 0})
    harness.queues.set_visibility(WORK, {"nonsense": 10})
    harness.poller.delete(WORK, ["nonsense"])
    assert harness.receive(WORK) == []


def test_a_receipt_is_void_once_the_message_was_received_again(harness):
    if not harness.embedded:
        pytest.skip("moto takes every receipt that a message ever had")
    harness.queues.send(WORK, [Message("x")])
    (first,) = harness.receive(WORK)
    harness.pass_time(31)
    (second,) = harness.receive(WORK)
    harness.poller.delete(WORK, [first.receipt_handle])
    harness.queues.set_visibility(WORK, {first.receipt_handle: 0})
    assert harness.receive(WORK) == []
    harness.poller.delete(WORK, [second.receipt_handle])
    assert harness.poller.next_visible_at() is None


def test_a_fifo_receipt_is_void_once_its_timeout_ended(harness):
    if not harness.embedded:
        pytest.skip("moto takes every receipt that a message ever had")
    harness.queues.send(MAIL, [mail("x")])
    (first,) = harness.receive(MAIL)
    harness.pass_time(31)
    harness.poller.delete(MAIL, [first.receipt_handle])
    assert harness.bodies(MAIL) == ["x"]


def test_a_message_received_too_often_becomes_a_dead_letter(harness):
    harness.queues.send(WORK, [Message("poison")])
    for _ in range(2):
        assert harness.bodies(WORK) == ["poison"]
        harness.pass_time(31)
    assert harness.bodies(WORK) == []
    assert harness.bodies("dead") == ["poison"]
    harness.pass_time(31)
    assert harness.receive(WORK) == []


def test_a_fifo_dead_letter_no_longer_blocks_its_group(harness):
    harness.queues.send(MAIL, [mail("poison"), mail("next")])
    for _ in range(2):
        assert harness.bodies(MAIL, 1) == ["poison"]
        harness.pass_time(31)
    assert harness.bodies(MAIL, 2) == ["next"]
    (dead,) = harness.receive("dead.fifo")
    assert dead.event_record["body"] == "poison"
    assert dead.event_record["attributes"]["MessageGroupId"] == "g"


def test_a_group_keeps_its_order(harness):
    harness.queues.send(MAIL, [mail(str(number)) for number in range(23)])
    seen = []
    while records := harness.receive(MAIL):
        seen += bodies(records)
        harness.poller.delete(MAIL, handles(records))
    assert seen == [str(number) for number in range(23)]


def test_a_group_with_a_message_in_flight_is_not_delivered(harness):
    harness.queues.send(MAIL, [mail("1", "a"), mail("2", "a"), mail("1", "b")])
    first = harness.receive(MAIL, 1)
    assert bodies(first) == ["1"]
    (other,) = harness.receive(MAIL)
    assert other.event_record["attributes"]["MessageGroupId"] == "b"
    assert harness.receive(MAIL) == []
    harness.poller.delete(MAIL, handles(first))
    assert harness.bodies(MAIL) == ["2"]


def test_a_group_stays_blocked_while_any_of_its_batch_is_in_flight(harness):
    harness.queues.send(MAIL, [mail("1"), mail("2"), mail("3")])
    one, _ = batch = harness.receive(MAIL, 2)
    assert bodies(batch) == ["1", "2"]
    harness.poller.delete(MAIL, [one.receipt_handle])
    assert harness.receive(MAIL) == []


def test_a_group_goes_on_from_where_it_failed(harness):
    harness.queues.send(MAIL, [mail(str(number)) for number in range(4)])
    records = harness.receive(MAIL, 3)
    harness.poller.delete(MAIL, handles(records)[:1])
    for record in records[1:]:
        harness.queues.set_visibility(MAIL, {record.receipt_handle: 0})
    harness.pass_time(1)
    assert harness.bodies(MAIL) == ["1", "2", "3"]


def test_a_duplicate_is_accepted_and_dropped_for_five_minutes(harness):
    assert harness.queues.send(MAIL, [mail("1", deduplication_id="d"), mail("2", deduplication_id="d")]) == []
    assert harness.queues.send(MAIL, [mail("3", deduplication_id="d")]) == []
    harness.pass_time(299 if harness.embedded else 200)  # moto's time passes by itself as well
    harness.queues.send(MAIL, [mail("4", "other", deduplication_id="d")])
    assert harness.bodies(MAIL) == ["1"]
    harness.pass_time(131)
    harness.queues.send(MAIL, [mail("5", deduplication_id="d")])
    assert harness.bodies(MAIL) == ["1", "5"]


def test_deduplication_remembers_deleted_messages(harness):
    if not harness.embedded:
        pytest.skip("moto forgets them")
    harness.queues.send(MAIL, [mail("1", deduplication_id="d")])
    harness.poller.delete(MAIL, handles(harness.receive(MAIL)))
    harness.queues.send(MAIL, [mail("2", deduplication_id="d")])
    assert harness.receive(MAIL) == []


GOOD_ID = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~aZ0" + "x" * 93


NOT_FOR_WORK = [
    Message(""),
    Message("x" * (1024 * 1024 + 1)),
    Message("中" * (1024 * 1024 // 3 + 1)),
    Message("a\0b"),
    Message("a\x0bb"),
    Message("a\ufffe"),
    Message("a\uffff"),
    Message("a\ud800"),
    Message("x", delay_seconds=901),
    Message("x", delay_seconds=-1),
    Message("x", group="a b"),
    Message("x", group="中"),
    Message("x", deduplication_id="d"),
]
NOT_FOR_MAIL = [
    Message("x"),
    Message("x", group="g"),
    Message("x", deduplication_id="d"),
    Message("x", group="g", deduplication_id="d", delay_seconds=1),
    Message("x", group="", deduplication_id="d"),
    Message("x", group="a b", deduplication_id="d"),
    Message("x", group="中", deduplication_id="d"),
    Message("x", group="g" * 129, deduplication_id="d"),
    Message("x", group="g", deduplication_id="d" * 129),
    Message("x", group="g", deduplication_id="é"),
]


@pytest.mark.parametrize(
    ("queue", "good", "bad"),
    [
        (WORK, Message("good"), NOT_FOR_WORK),
        (MAIL, Message("good", group="a", deduplication_id="a"), NOT_FOR_MAIL),
    ],
    ids=[WORK, MAIL],
)
def test_what_sqs_does_not_take_is_refused_and_the_rest_is_sent(harness, queue, good, bad):
    refusals = harness.queues.send(queue, [good, *bad])
    assert [refusal.index for refusal in refusals] == list(range(1, len(bad) + 1))
    assert refusals == [Refusal(refusal.index, refusal.reason) for refusal in refusals]
    assert all(refusal.reason for refusal in refusals)
    assert harness.bodies(queue) == ["good"]


def test_the_edges_of_what_sqs_takes_are_taken(harness):
    text = "\t\n\r ~\x7f\x85\ud7ff\ue000\ufffd\U00010000\U0010ffff"
    largest = ["x" * (1024 * 1024), "中" * (1024 * 1024 // 3)]
    assert harness.queues.send(WORK, [Message(text), *map(Message, largest)]) == []
    assert harness.queues.send(MAIL, [Message(text, group=GOOD_ID, deduplication_id=GOOD_ID)]) == []
    assert sorted(harness.bodies(WORK)) == sorted([text, *largest])
    assert harness.bodies(MAIL) == [text]


def test_an_unknown_queue_is_refused(harness):
    for call in (
        lambda: harness.queues.send("nowhere", [Message("x")]),
        lambda: harness.queues.set_visibility("nowhere", {"r": 1}),
        lambda: harness.poller.receive("nowhere", 1),
        lambda: harness.poller.delete("nowhere", ["r"]),
    ):
        with pytest.raises(ValueError, match="nowhere"):
            call()


def test_the_poller_knows_whether_anything_is_to_come(harness):
    clock = harness.backend.ports.clock
    assert harness.poller.next_visible_at() is None
    harness.queues.send(WORK, [Message("x", delay_seconds=60)])
    coming = harness.poller.next_visible_at()
    assert coming > clock.now()
    harness.pass_time(61)
    (record,) = harness.receive(WORK)
    assert harness.poller.next_visible_at() > clock.now()
    harness.poller.delete(WORK, [record.receipt_handle])
    assert harness.poller.next_visible_at() is None


def test_the_hook_hears_of_messages_that_may_be_receivable(harness):
    heard: list[str] = []
    harness.backend.on_send = heard.append
    harness.queues.send(WORK, [Message("x")])
    harness.queues.send(WORK, [Message("")])
    harness.queues.send(MAIL, [mail("x")])
    assert heard == [WORK, MAIL]
    (record,) = harness.receive(WORK)
    harness.queues.set_visibility(WORK, {record.receipt_handle: 0})
    assert heard == [WORK, MAIL, WORK]
