"""Ended executions move between backends whole: documents, histories, lists, replays, and what can be asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.recording import first_deviation
from workflow_runtime.errors import RequestError
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.services.upkeep.moving import Moving, Record
from workflow_runtime.storage.listing import Wanted

EVERY = tuple(ExecutionStatus)
LARGE = Random(1).randbytes(40_000).hex()  # of what does not compress to an item
WORKFLOW: dict[str, Any] = {
    "id": "搬家",
    "nodes": [
        {"id": "a", "type": "tool", "tool": "echo", "inputs": {"text": "${text}", "n": "${n}"}},
        {"id": "child", "type": "sub_workflow", "workflow_id": "inner", "inputs": {"text": "${a.text}"},
         "dependencies": ["a"]},
        {"id": "each", "type": "control", "subtype": "loop", "items": [1, 2, 3], "as": "i", "dependencies": ["child"],
         "body": [{"id": "b", "type": "tool", "tool": "echo", "inputs": {"i": "${i}"}}]},
        {"id": "bad", "type": "control", "subtype": "fail", "error": "no", "when": "${n} == 1",
         "dependencies": ["each"]},
    ],
    "outputs": {"text": "${child.text}"},
}  # fmt: skip
INNER: dict[str, Any] = {
    "id": "inner",
    "nodes": [{"id": "say", "type": "tool", "tool": "echo", "inputs": {"text": "${text}"}}],
    "outputs": {"text": "${say.text}"},
}


def local() -> LocalRuntime:
    return LocalRuntime(open_backend(), environ={})


def on_aws() -> LocalRuntime:
    return LocalRuntime(simulated.open_backend(), environ={})


@contextmanager
def filled(make: Callable[[], LocalRuntime]) -> Iterator[tuple[LocalRuntime, list[str]]]:
    """A runtime in which one execution has completed and one has failed, each with a child."""
    with make() as runtime:
        for definition in (INNER, WORKFLOW):
            runtime.services.catalog.publish(msgspec.json.encode({"workflow": definition}))
        for n in (0, 1):
            asyncio.run(runtime.run_until_ended(runtime.services.starter.start("搬家", {"text": LARGE, "n": n})))
        headers = runtime.services.stores.listing.page(Wanted(EVERY), 100).headers
        yield runtime, [header.execution_id for header in headers]


def moved(source: LocalRuntime, target: LocalRuntime, execution_id: str) -> list[bool]:
    """What was said to each page."""
    taken = []
    for records in pages(moving(source), execution_id):
        sent = msgspec.convert(msgspec.json.decode(msgspec.json.encode(records)), list[Record])
        taken.append(moving(target).take(execution_id, sent))
    return taken


def moving(runtime: LocalRuntime) -> Moving:
    return Moving(runtime.services.ports, runtime.services.stores)


def pages(source: Moving, execution_id: str) -> Iterator[list[Record]]:
    place: str | None = ""
    while place is not None:
        page = source.page(execution_id, place)
        yield page.records
        place = page.next


def seen(runtime: LocalRuntime, execution_id: str) -> Any:
    """All that people are told of an execution."""
    documents = runtime.services.documents
    return msgspec.json.decode(
        msgspec.json.encode((documents.document(execution_id), documents.history(execution_id, 0, 100)))
    )


BOTH = [(local, on_aws), (on_aws, local)]


@pytest.mark.parametrize(("here", "there"), BOTH, ids=["server to AWS", "AWS to server"])
def test_an_ended_execution_is_the_same_where_it_has_moved_to(
    here: Callable[[], LocalRuntime], there: Callable[[], LocalRuntime]
) -> None:
    with filled(here) as (source, ids), there() as target:
        assert len(ids) == 4
        for execution_id in ids:
            assert set(moved(source, target, execution_id)) == {True}
        listed = target.services.stores.listing.page(Wanted(EVERY), 100).headers
        assert sorted(header.execution_id for header in listed) == sorted(ids)
        for execution_id in ids:
            assert seen(target, execution_id) == seen(source, execution_id)
            assert first_deviation(target.services.recordings.whole(execution_id)) is None
            assert set(moved(source, target, execution_id)) == {False}


def test_without_its_last_page_an_execution_is_not_there_and_the_pages_may_come_again() -> None:
    with filled(local) as (source, ids), local() as target:
        execution_id = ids[0]
        *first, last = pages(moving(source), execution_id)
        for _ in range(2):
            for records in first:
                assert moving(target).take(execution_id, records)
            assert target.services.stores.executions.header(execution_id) is None
        assert moving(target).take(execution_id, last)
        assert seen(target, execution_id) == seen(source, execution_id)


def test_what_is_missing_is_told_before_an_execution_is_there() -> None:
    with filled(local) as (source, ids), local() as target:
        execution_id = ids[0]
        *_, last = pages(moving(source), execution_id)
        with pytest.raises(RequestError, match="a header that this version cannot read"):
            moving(target).take(execution_id, last)
        assert target.services.stores.executions.header(execution_id) is None


def test_an_execution_that_failed_elsewhere_goes_on_here() -> None:
    with filled(local) as (source, ids), local() as target:
        for definition in (INNER, WORKFLOW):
            target.services.catalog.publish(msgspec.json.encode({"workflow": definition}))
        for execution_id in ids:
            moved(source, target, execution_id)
        [failed] = [id for id in ids if target.services.documents.status(id) == "failed"]
        target.services.control.ask("skip", failed, "it may go on", said={"node": "bad"})
        asyncio.run(target.pump.run(lambda: target.services.documents.status(failed) == "completed"))
        assert target.services.documents.status(failed) == "completed"


def test_one_that_runs_is_not_given() -> None:
    with local() as source:
        waiting = {"id": "w", "nodes": [{"id": "wait", "type": "control", "subtype": "wait", "event": "go"}]}
        source.services.catalog.publish(msgspec.json.encode({"workflow": waiting}))
        execution_id = source.services.starter.start("w", {})
        with pytest.raises(RequestError, match="it ends where it began"):
            moving(source).page(execution_id)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (Record(sort="REQUEST#key"), "is not a part of an ended execution"),
        (Record(sort="HEADER", values={"status": "running"}), "cannot read"),
        (Record(sort="RUN#a#000001", data={"output": "no base64!"}), "not base64"),
        (Record(blob="executions/ex-other/input", data={"": ""}), "not a value of execution"),
        (Record(plan="0" * 40, data={"": "bm8="}), "a plan that this version cannot read"),
        (Record(), "is not a part of an ended execution"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_records_that_are_none_are_refused(record: Record, said: str) -> None:
    with local() as target, pytest.raises(RequestError, match=said):
        moving(target).take("ex-01a204d5603e-edb72076c6964bbf", [record])


def test_a_plan_that_is_there_is_never_written_over() -> None:
    with filled(local) as (source, ids):
        [record] = moving(source).page(ids[0], "").records
        with pytest.raises(RequestError, match="is not"):
            moving(source).take("ex-01a204d5603e-edb72076c6964bbf", [msgspec.structs.replace(record, plan="0" * 40)])
