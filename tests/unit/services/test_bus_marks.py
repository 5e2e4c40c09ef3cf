"""What callers write into the runtime's own mark on an event is checked, not believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workflow_runtime.errors import InvalidEvent
from workflow_runtime.services.intake.bus_events import BusEvent, parse_body


def marked(mark: Any, **fields: Any) -> BusEvent:
    detail = {"x": 1, "workflow_runtime": mark}
    event = {"id": "1", "source": "s", "detail-type": "t", "time": "2026-01-01T00:00:00Z", "detail": detail}
    found = parse_body(json.dumps(event | fields))
    assert isinstance(found, BusEvent)
    return found


@pytest.mark.parametrize(
    ("mark", "hops"),
    [
        ({"hops": -200}, 0),
        ({"hops": -(2**62)}, 0),
        ({"hops": 3}, 3),
        ({"hops": 2**62}, 2**62),
        ({"hops": True}, 0),
        ({"hops": 3.7}, 0),
        ({"hops": "9"}, 0),
        ({"hops": None}, 0),
        ({}, 0),
        ("hops", 0),
        ([{"hops": 1}], 0),
    ],
)
def test_what_a_caller_says_of_hops_counts_only_upward(mark: Any, hops: int) -> None:
    assert marked(mark).hops == hops


@pytest.mark.parametrize("id", ["", "x" * 300, "a\nb", "\u202e", 7, None])
def test_a_correlation_id_that_could_be_none_of_ours_is_dropped(id: Any) -> None:
    assert marked({"correlation_id": id}).correlation_id == ""


@pytest.mark.parametrize("levels", [101, 980, 5000])
def test_a_detail_nested_too_deeply_is_refused_at_the_door(levels: int) -> None:
    body = '{"id": "1", "source": "s", "detail-type": "t", "time": "2026-01-01T00:00:00Z", "detail": {"x": %s}}'
    with pytest.raises(InvalidEvent):
        parse_body(body.replace("%s", "[" * levels + "]" * levels))


@pytest.mark.parametrize("time", ["", "soon", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", 7])
def test_a_time_that_is_none_is_refused(time: Any) -> None:
    with pytest.raises(InvalidEvent):
        marked({}, time=time)
