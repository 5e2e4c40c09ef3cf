"""Loops over files, through the real services: reading, its failures, and what people ask for meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.services.replaying import assert_replays
from tests.unit.services.test_control import START, World

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.engine.commands import RunNode
from workflow_runtime.engine.identity import child_execution_id
from workflow_runtime.plan.specs import LoopSpec
from workflow_runtime.ports import File
from workflow_runtime.runtime.in_process import BUCKETS_VARIABLE, LocalRuntime
from workflow_runtime.runtime.observation import Silence
from workflow_runtime.services.items.formats import ITEM_BYTES_MAX
from workflow_runtime.services.items.reading import PAGE_BYTES, PART_BYTES, ItemReader
from workflow_runtime.services.messages import Order
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import unpack
from workflow_runtime.storage.records import RunStatus
from workflow_runtime.storage.stores import Stores

PATH = "各"
LOOP: dict[str, Any] = {
    "id": PATH,
    "type": "control",
    "subtype": "loop",
    "distribution": "executions",
    "items": {"s3": "s3://orders/${input.file}"},
    "body": [{"id": "work", "type": "tool", "tool": "act", "inputs": {"x": "${item}", "i": "${index}"}}],
}


class FileWorld(World, Silence):
    """While a worker reads a file, something else may happen: ``meanwhile``; ``asked``: how often it did."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Any] = lambda: None
        self.asked = 0
        self.runtime.close()
        self.runtime = LocalRuntime(open_backend(clock=self.clock), wrap=lambda _: self, observer=self)
        self.services = self.runtime.services
        self.control = self.services.control

    def wrote(self, execution_id: str, sort: str, attributes: Mapping[str, Any]) -> None:
        runs = [keys.run(execution_id, PATH, serial).sort for serial in range(1, 9)]
        if sort in runs and attributes["status"] == RunStatus.RUNNING:
            self.asked += 1
            self.meanwhile()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileWorld]:
    monkeypatch.setenv(BUCKETS_VARIABLE, str(tmp_path))
    (tmp_path / "orders").mkdir()
    world = FileWorld()
    world.act = lambda call: call.inputs
    with world.runtime:
        yield world


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, Any], str]:
    def written(name: str, content: Any) -> str:
        data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        (tmp_path / "orders" / name).write_bytes(data)
        return name

    return written


def begun(world: World, file: str, *others: dict[str, Any], **fields: Any) -> str:
    workflow = {"id": "w", "nodes": [{**LOOP, **fields}, *others]}
    world.services.catalog.publish(json.dumps({"workflow": workflow}).encode())
    return world.services.starter.start("w", {"file": file})


def document(world: World, execution: str) -> Any:
    return world.services.documents.document(execution)


def error_of(world: World, execution: str) -> tuple[str, str]:
    assert world.run(execution) == "failed"
    assert_replays(world.services, execution)
    error = document(world, execution)["error"]
    return error["type"], error["message"]


def test_a_file_is_read_once_and_each_pass_gets_its_item(world: World, put: Any) -> None:
    file = put("名单.jsonl", "\n".join(f'{{"n": {n}, "名": "第 {n}"}}' for n in range(1_345)).encode())
    execution = begun(world, file)
    assert world.run(execution) == "completed", document(world, execution)["error"]
    expected = [{"x": {"n": n, "名": f"第 {n}"}, "i": n} for n in range(1_345)]
    assert document(world, execution)["output"] == expected
    assert document(world, execution)["node_executions"][PATH]["passes"]["done"] == 1_345
    assert_replays(world.services, execution)
    assert_replays(world.services, child_execution_id(execution, f"{PATH}[1]#2", "w"))


def test_batches_and_csv(world: World, put: Any) -> None:
    execution = begun(world, put("a.txt", b"a,b\n1,2\n3,4\n5,6\n"),
                      items={"s3": "s3://orders/${input.file}", "format": "csv"}, batch_size=2)  # fmt: skip
    assert world.run(execution) == "completed"
    rows = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]
    assert document(world, execution)["output"] == [{"x": rows[:2], "i": 0}, {"x": rows[2:], "i": 1}]


def test_a_file_without_items_is_an_empty_list(world: World, put: Any) -> None:
    execution = begun(world, put("none.jsonl", b""))
    assert world.run(execution) == "completed"
    assert document(world, execution)["output"] == []
    assert_replays(world.services, execution)


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a"\n', "validation_error", "s3://orders/a.jsonl: line 2: it is not JSON"),
        ("a.csv", b"a,a\n", "validation_error", "s3://orders/a.csv: line 1: the header names 'a' twice"),
        ("a.parquet", b"PAR1", "validation_error", "the name of s3://orders/a.parquet does not tell its format"),
        (
            "a.json",
            ["长" * ITEM_BYTES_MAX],
            "too_large",
            "s3://orders/a.json: item 0 has 786,434 bytes; at most 262,144",
        ),
        ("a.jsonl", b"1\n2\n3\n4\n", "max_iterations", "there are more than 3 passes"),
    ],
)
def test_what_is_wrong_with_a_file_fails_the_loop(
    world: World, put: Any, name: str, content: Any, kind: str, message: str
) -> None:
    found = error_of(world, begun(world, put(name, content), max_iterations=3))
    assert (found[0], message in found[1]) == (kind, True), found


@pytest.mark.parametrize(
    ("file", "kind", "message"),
    [
        ("missing.csv", "not_found", "there is no file"),
        ("../secret.csv", "not_allowed", "leads out of the folder"),
        ("x/../../secret.csv", "not_allowed", "leads out of the folder"),
        ("/etc/passwd.csv", "not_allowed", "leads out of the folder"),
        ("", "validation_error", "it is not the address of a file"),
    ],
)
def test_what_is_not_there_or_outside_fails_the_loop(world: World, file: str, kind: str, message: str) -> None:
    found = error_of(world, begun(world, file))
    assert (found[0], message in found[1]) == (kind, True), found


def test_enough_passes_may_be_an_end_like_any_other(world: World, put: Any) -> None:
    """What comes after them in the file is not even looked at."""
    execution = begun(world, put("a.jsonl", b"1\n2\nnonsense"), max_iterations=2, on_max_iterations="continue")
    assert world.run(execution) == "completed"
    assert document(world, execution)["output"] == [{"x": 1, "i": 0}, {"x": 2, "i": 1}]


def test_a_reading_that_failed_is_retried_by_the_loops_policy(world: World, put: Any) -> None:
    execution = begun(world, "late.jsonl", retry_policy={"max_retries": 2, "retry_delay": "1h", "jitter": False})
    assert world.run(execution) == "running"
    put("late.jsonl", b"1\n")
    world.clock.advance_to(world.clock.now() + 3_600_000)
    assert world.run(execution) == "completed"
    assert document(world, execution)["output"] == [{"x": 1, "i": 0}]
    assert_replays(world.services, execution)


def test_a_reading_that_failed_may_be_excused_or_replaced(world: World) -> None:
    execution = begun(world, "missing.jsonl", on_error="continue")
    assert world.run(execution) == "completed"
    execution = begun(world, "missing.jsonl", fallback={"value": [7]})
    assert world.run(execution) == "completed"
    assert document(world, execution)["output"] == [7]
    assert_replays(world.services, execution)


def test_a_retry_of_the_execution_reads_what_is_there_then(world: World, put: Any) -> None:
    execution = begun(world, "late.jsonl")
    assert error_of(world, execution)[0] == "not_found"
    put("late.jsonl", b"1\n2\n")
    world.control.ask("retry", execution, "somebody")
    assert world.run(execution) == "completed"
    assert document(world, execution)["output"] == [{"x": 1, "i": 0}, {"x": 2, "i": 1}]
    assert_replays(world.services, execution)


def test_a_retry_after_a_pass_has_failed_reads_nothing_again(world: World, put: Any, tmp_path: Path) -> None:
    def act(call: Any) -> Any:
        if call.inputs["x"] == 2 and (tmp_path / "orders" / "a.jsonl").exists():
            raise ValueError("no")
        return call.inputs["x"]

    world.act = act
    execution = begun(world, put("a.jsonl", b"1\n2\n3\n"))
    assert world.run(execution) == "failed"
    (tmp_path / "orders" / "a.jsonl").unlink()
    world.control.ask("retry", execution, "somebody")
    assert world.run(execution) == "completed", document(world, execution)["error"]
    assert document(world, execution)["output"] == [1, 2, 3]
    assert_replays(world.services, execution)


def test_a_suspension_while_it_reads_holds_the_passes_back(world: FileWorld, put: Any) -> None:
    execution = begun(world, put("a.jsonl", b"1\n2\n"))
    world.meanwhile = lambda: world.control.ask("suspend", execution, "somebody")
    assert world.run(execution) == "suspended"
    assert (world.nodes(execution), world.asked) == ({PATH: "ready"}, 1)
    assert document(world, execution)["node_executions"][PATH]["output"] is None
    world.meanwhile = lambda: None
    world.control.ask("resume", execution, "somebody")
    assert world.run(execution) == "completed"
    assert (len(document(world, execution)["output"]), world.asked) == (2, 2), "read once, and put together"
    assert_replays(world.services, execution)


def test_a_cancel_while_it_reads_ends_it_and_a_retry_reads_again(world: FileWorld, put: Any) -> None:
    execution = begun(world, put("a.jsonl", b"1\n2\n"))
    world.meanwhile = lambda: world.control.ask("cancel", execution, "somebody")
    assert world.run(execution) == "cancelled"
    assert document(world, execution)["node_executions"][PATH]["status"] == "cancelled"
    world.meanwhile = lambda: None
    world.control.ask("retry", execution, "somebody")
    assert world.run(execution) == "completed"
    assert len(document(world, execution)["output"]) == 2
    assert_replays(world.services, execution)


def test_the_time_of_the_loop_counts_its_reading(world: FileWorld, put: Any) -> None:
    body = [{"id": "long", "type": "control", "subtype": "wait", "duration": "1h"}]
    execution = begun(world, put("a.jsonl", b"1\n"), timeout="30m", body=body)
    world.meanwhile = lambda: world.clock.advance_to(world.clock.now() + 1_200_000)
    assert asyncio.run(world.runtime.run_until_ended(execution)) == "failed"
    assert world.clock.now() == START + 1_800_000
    assert error_of(world, execution) == ("timeout", "it has not ended within 1800 s")


def test_what_a_pass_is_for_lies_in_pages_that_a_worker_reads_in_parts() -> None:
    """Nothing is held as a whole: not the file, and not what is made of it."""
    line = b'{"text": "' + b"x" * 990 + b'"}\n'
    asked: list[int] = []

    class Endless:
        def find(self, bucket: str, key: str) -> File:  # noqa: ARG002
            return File(len(line) * 20_000, "v")

        def read(self, bucket: str, key: str, file: File, start: int, size: int) -> bytes:  # noqa: ARG002
            asked.append(size)
            whole = line * (size // len(line) + 2)
            return whole[start % len(line) :][:size]

    with open_backend() as backend:
        ports = replace(backend.ports, files=Endless())
        command = RunNode(PATH, 1, "tool", 0, inputs={"s3": "s3://orders/a.jsonl"}, has_inputs=True)
        spec = LoopSpec(body=0, max_iterations=100_000)
        found = asyncio.run(ItemReader(ports, Stores(ports)).read(Order("ex-1", "", 1, 0, command), spec, 60))
        pages = [unpack(ports.blobs.get(f"{found['key']}.{page}")) for page in range(-(-20_000 // found["page_size"]))]
    assert found["count"] == sum(map(len, pages)) == 20_000
    assert sum(asked) == len(line) * 20_000
    assert max(asked) <= PART_BYTES
    assert {len(page) for page in pages[:-1]} == {found["page_size"]}
    assert found["page_size"] * len(line) <= 2 * PAGE_BYTES
