"""The promises of `ports.Blobs`, `ports.Bus` and `ports.Offload`."""

from __future__ import annotations

import asyncio
import re

import pytest

from workflow_runtime.ports import BusEvent


def test_an_object_comes_back_as_it_was_put(harness):
    data = bytes(range(256)) * 5000
    harness.blobs.put("executions/e1/输入", data)
    harness.blobs.put("empty", b"")
    assert harness.blobs.get("executions/e1/输入") == data
    assert harness.blobs.get("empty") == b""


def test_putting_the_same_object_again_changes_nothing(harness):
    harness.blobs.put("k", b"same")
    harness.blobs.put("k", b"same")
    assert harness.blobs.get("k") == b"same"


def test_an_absent_object_is_a_key_error(harness):
    with pytest.raises(KeyError):
        harness.blobs.get("missing")


@pytest.mark.parametrize("key", ["", "k" * 1025, "中" * 342])
def test_empty_and_overlong_object_keys_are_refused(harness, key):
    with pytest.raises(ValueError, match="blob key"):
        harness.blobs.put(key, b"x")
    with pytest.raises(ValueError, match="blob key"):
        harness.blobs.get(key)


def test_events_arrive_in_the_shape_of_eventbridge(harness):
    events = [BusEvent("awr", "NodeEnded", f'{{"number": {number}, "text": "中"}}') for number in range(23)]
    assert harness.bus.publish(events) == []
    seen = harness.backend.bus_events()
    assert sorted(event["detail"]["number"] for event in seen) == list(range(23))
    event = seen[0]
    assert {"version", "id", "detail-type", "source", "time", "region", "resources", "detail"} <= set(event)
    assert event["detail-type"] == "NodeEnded"
    assert event["source"] == "awr"
    assert event["detail"]["text"] == "中"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
    assert len({event["id"] for event in seen}) == 23


@pytest.mark.parametrize(
    "event",
    [
        BusEvent("", "Type", "{}"),
        BusEvent("aws.ec2", "Type", "{}"),
        BusEvent("s", "", "{}"),
        BusEvent("s", "t" * 129, "{}"),
        BusEvent("s", "t", "[]"),
        BusEvent("s", "t", "no JSON"),
        BusEvent("s", "t", ""),
        BusEvent("s", "t", '{"x": "' + "x" * 1024 * 1024 + '"}'),
    ],
    ids=range(8),
)
def test_what_eventbridge_does_not_take_is_refused_and_the_rest_is_published(harness, event):
    refusals = harness.bus.publish([event, BusEvent("s", "t", '{"good": true}')])
    assert [refusal.index for refusal in refusals] == [0]
    assert refusals[0].reason
    assert [seen["detail"] for seen in harness.backend.bus_events()] == [{"good": True}]


def test_events_of_a_megabyte_in_all_go_out_in_several_calls(harness):
    events = [BusEvent("s", "t", '{"x": "' + "x" * 200_000 + '"}') for _ in range(6)]
    assert harness.bus.publish(events) == []
    assert harness.bus.publish([]) == []


def test_offload_gives_the_result_and_the_error_of_a_call(harness):
    offload = harness.backend.ports.offload
    assert asyncio.run(offload(divmod, 7, 2)) == (3, 1)

    async def fails() -> None:
        await offload(harness.blobs.get, "missing")

    with pytest.raises(KeyError):
        asyncio.run(fails())


def test_objects_are_listed_by_prefix_in_order_and_renewed_in_place(harness):
    for name in ("a/1", "a/2", "a/3", "b/1", "a"):
        harness.blobs.put(name, name.encode())
    assert harness.blobs.list("a/", "", 9) == ["a/1", "a/2", "a/3"]
    assert harness.blobs.list("a/", "a/1", 1) == ["a/2"]
    assert harness.blobs.list("c/", "", 9) == []
    harness.blobs.renew("a/1")
    assert harness.blobs.get("a/1") == b"a/1"
    with pytest.raises(KeyError):
        harness.blobs.renew("c/1")
    assert harness.blobs.list("c/", "", 9) == []
