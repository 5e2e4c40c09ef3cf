"""Requests about many executions through the API's real handler, on both backends: who is meant, pages, repeats."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from tests.handlers.bench import Bench
from tests.handlers.http_requests import ask

WAITING = "    - {id: 等, type: control, subtype: wait, event: 来}\n"
KEY = {"idempotency-key": "k"}


def started(bench: Bench, workflow_id: str, count: int) -> list[str]:
    ids = [bench.start(WAITING, workflow_id=workflow_id) for _ in range(count)]
    bench.settle()
    return ids


def request(
    bench: Bench, workflow_id: str, operation: str = "cancel", *, query: str = "", key: Any = KEY, **body: Any
) -> Any:
    path = f"/workflows/{quote(workflow_id)}/executions/{operation}"
    return ask(bench, "POST", path, body, key, query)


def statuses(bench: Bench, ids: list[str]) -> list[str]:
    bench.settle()
    return [str(bench.document(id)["status"]) for id in ids]


def requests_in(bench: Bench, execution_id: str) -> list[Any]:
    journal = bench.runtime.stores.executions.journal(execution_id)
    return [event for entry in journal for event in entry.events if type(event).__name__ == "CancelRequested"]


def test_all_that_run_are_cancelled_and_each_history_says_why(bench: Bench) -> None:
    ids, others = started(bench, "批量", 3), started(bench, "别的", 1)
    status, page = request(bench, "批量", reason="停业")
    assert (status, page["changed"], page["unchanged"], page["refused"], page["next_cursor"]) == (200, 3, 0, [], None)
    assert sorted(page["execution_ids"]) == sorted(ids)
    assert statuses(bench, [*ids, *others]) == ["cancelled"] * 3 + ["running"]
    assert {event.reason for id in ids for event in requests_in(bench, id)} == {"停业"}


def test_pages_go_on_from_each_other_and_meet_each_execution_once(bench: Bench) -> None:
    ids = started(bench, "pages", 5)
    found: list[str] = []
    query = "limit=2"
    for _ in range(3):
        _, page = request(bench, "pages", query=query, key={})
        bench.settle()
        found += page["execution_ids"]
        query = f"limit=2&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert sorted(found) == sorted(ids)
    assert statuses(bench, ids) == ["cancelled"] * 5


def test_a_page_that_is_asked_again_and_a_request_that_begins_again_repeat_nothing(bench: Bench) -> None:
    ids = started(bench, "again", 3)
    _, first = request(bench, "again", query="limit=2")
    for query in ("limit=2", "limit=2", f"limit=2&cursor={first['next_cursor']}"):
        status, page = request(bench, "again", query=query)
        assert (status, page["refused"]) == (200, [])
    assert statuses(bench, ids) == ["cancelled"] * 3
    assert {len({event.event_id for event in requests_in(bench, id)}) for id in ids} == {1}


def test_a_dry_run_names_them_and_asks_nothing(bench: Bench) -> None:
    ids = started(bench, "dry", 2)
    status, page = request(bench, "dry", dry_run=True)
    assert (status, sorted(page["execution_ids"]), page["changed"]) == (200, sorted(ids), 0)
    assert statuses(bench, ids) == ["running"] * 2


def test_only_those_that_are_old_enough_and_in_a_status_that_is_named_are_meant(bench: Bench) -> None:
    old = started(bench, "aged", 1)
    bench.pass_time(3_601)
    young = started(bench, "aged", 1)
    assert request(bench, "aged", older_than="1h", status=["completed"])[1]["execution_ids"] == []
    assert request(bench, "aged", older_than="1h", status=["running"])[1]["execution_ids"] == old
    assert statuses(bench, [*old, *young]) == ["cancelled", "running"]


def test_refusals_are_counted_by_reason_and_what_was_so_already_apart(bench: Bench) -> None:
    ended = [bench.start("    - {id: p, type: control, subtype: pass}\n", workflow_id="mixed") for _ in range(2)]
    bench.settle()
    (cancelled,) = started(bench, "mixed", 1)
    ask(bench, "POST", f"/executions/{cancelled}/cancel", {})
    bench.settle()
    (running,) = started(bench, "mixed", 1)
    everything = ["running", "completed", "cancelled"]
    _, page = request(bench, "mixed", status=everything)
    assert (page["changed"], page["unchanged"]) == (1, 1)
    (refused,) = page["refused"]
    assert (refused["code"], refused["count"], sorted(refused["execution_ids"])) == ("ended", 2, sorted(ended))
    assert "completed" in refused["reason"]
    assert statuses(bench, [running]) == ["cancelled"]


def test_other_operations_are_asked_the_same_way(bench: Bench) -> None:
    ids = started(bench, "more", 2)
    request(bench, "more")
    bench.settle()
    (refused,) = request(bench, "more", "retry")[1]["refused"]
    assert (refused["code"], refused["count"]) == ("conflict", 2), "the key was used for their cancellation"
    status, page = request(bench, "more", "retry", reason="doch", key={})
    assert (status, page["operation"], page["changed"]) == (200, "retry", 2)
    assert statuses(bench, ids) == ["running"] * 2
    (unknown,) = request(bench, "more", "suspend", fields={"node": "x"}, key={})[1]["refused"]
    assert (unknown["code"], unknown["count"]) == ("invalid_request", 2)
    assert request(bench, "more", "skip")[0] == 404


@pytest.mark.parametrize(
    ("workflow_id", "body", "query", "expected"),
    [
        ("无", {}, "", (404, "not_found")),
        ("checked", {"status": ["lost"]}, "", (422, "invalid_request")),
        ("checked", {"older_than": "soon"}, "", (422, "invalid_request")),
        ("checked", {"reason": "x" * 1001}, "", (422, "invalid_request")),
        ("checked", {}, "cursor=abc", (404, "not_found")),
        ("checked", {}, "limit=101", (422, "invalid_request")),
    ],
)
def test_what_cannot_be_asked_is_told(
    bench: Bench, workflow_id: str, body: Any, query: str, expected: tuple[int, str]
) -> None:
    ids = started(bench, "checked", 1)
    status, problem = request(bench, workflow_id, query=query, **body)
    assert (status, problem["code"]) == expected
    assert statuses(bench, ids) == ["running"]
