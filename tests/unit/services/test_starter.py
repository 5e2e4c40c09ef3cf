"""Starting: keys, inputs, variables, settings (promise P1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.errors import RequestError
from workflow_runtime.ports import Absent, Condition, Item
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.storage import keys
from workflow_runtime.storage.listing import Wanted

START = 1_700_000_000_000
PLAIN = b"workflow: {id: w, nodes: [{id: a, type: tool, tool: echo}]}"
TYPED = b"""
workflow:
  id: typed
  input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
  variables: {limit: "${n + 1}", text: "v${limit}", region: "${env.REGION}", at: "${now}"}
  nodes: [{id: a, type: tool, tool: echo}]
"""


class Crash(BaseException):
    pass


class DyingTable:
    """Dies instead of writing the item of one sort key."""

    def __init__(self, table: Any, sort: str) -> None:
        self._table = table
        self.sort = sort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def put(self, item: Item, condition: Condition | None = None) -> None:
        if item.key.sort == self.sort and isinstance(condition, Absent):
            raise Crash
        self._table.put(item, condition)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(START)) as opened:
        yield opened


def runtime(backend: Backend, env: Mapping[str, str] | None = None, table: Any = None) -> Runtime:
    ports = backend.ports
    if table is not None:
        ports = replace(ports, table=table)
    return Runtime(ports, dict, secrets=EnvironmentSecrets({}), env=env)


def test_p1_the_same_start_key_and_input_answer_the_first_execution(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    first = services.starter.start("w", {"a": 1, "b": 2}, start_key="钥匙")
    assert services.starter.start("w", {"b": 2, "a": 1}, start_key="钥匙") == first
    assert services.starter.start("w", {"a": 1, "b": 2}, start_key="another") != first
    assert services.starter.start("w", {"a": 1, "b": 2}) != services.starter.start("w", {"a": 1, "b": 2})
    assert first.isascii()
    assert len(first) <= 64


def test_p1_a_repeat_is_answered_even_if_its_input_would_be_refused_by_now(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    first = services.starter.start("w", {"a": 1}, start_key="k")
    services.catalog.publish(PLAIN.replace(b"nodes:", b"input_schema: {required: [b]}, nodes:"))
    assert services.starter.start("w", {"a": 1}, start_key="k") == first


def test_p1_the_same_start_key_with_another_input_is_a_conflict(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    services.starter.start("w", {"a": 1}, start_key="k")
    with pytest.raises(RequestError) as refused:
        services.starter.start("w", {"a": 2}, start_key="k")
    assert refused.value.code == "conflict"


def test_p1_a_start_that_died_between_input_and_header_is_completed_by_its_repeat(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    with pytest.raises(Crash):
        runtime(backend, table=DyingTable(backend.ports.table, keys.HEADER)).starter.start("w", {"a": 1}, start_key="k")
    with pytest.raises(RequestError) as refused:
        services.starter.start("w", {"a": 2}, start_key="k")
    assert refused.value.code == "conflict"
    execution_id = services.starter.start("w", {"a": 1}, start_key="k")
    assert services.documents.status(execution_id) == "pending"
    assert services.documents.document(execution_id)["input"] == {"a": 1}


def test_p1_p10_a_repeat_never_replaces_the_variables_and_plan_of_the_first_start(backend: Backend) -> None:
    """Neither when the first died half-way nor when the data is so large that it lies in the blob store."""
    services = runtime(backend, {"REGION": "一"})
    services.catalog.publish(TYPED)
    noise = {"n": 1, "noise": [hash((n, "x")) for n in range(3000)]}
    dying = DyingTable(backend.ports.table, keys.HEADER)
    with pytest.raises(Crash):
        runtime(backend, {"REGION": "一"}, dying).starter.start("typed", noise, start_key="k")
    backend.ports.clock.advance_to(START + 60_000)  # type: ignore[attr-defined]
    later = runtime(backend, {"REGION": "二"})
    later.catalog.publish(TYPED.replace(b"id: a,", b"id: b,"))
    execution_id = later.starter.start("typed", noise, start_key="k")
    document = later.documents.document(execution_id)
    variables: Any = document["variables"]
    assert (variables["region"], variables["at"]) == ("一", "2023-11-14T22:13:20.000Z")
    assert list(document["node_executions"]) == ["a"]  # type: ignore[arg-type]
    assert document["workflow_version"] == 1


def test_input_that_does_not_match_its_schema_is_refused_and_nothing_is_created(backend: Backend) -> None:
    services = runtime(backend, {"REGION": "eu"})
    services.catalog.publish(TYPED)
    for wrong in ({}, {"n": "1"}, [1], "text"):
        with pytest.raises(RequestError) as refused:
            services.starter.start("typed", wrong, start_key="k")
        assert refused.value.code == "invalid_input"
    services.starter.start("typed", {"n": 1}, start_key="k")


def test_variables_see_the_input_earlier_variables_and_settings_and_input_replaces_them(backend: Backend) -> None:
    services = runtime(backend, {"REGION": "欧洲"})
    services.catalog.publish(TYPED)
    document = services.documents.document(services.starter.start("typed", {"n": 1}))
    assert document["variables"] == {"limit": 2, "text": "v2", "region": "欧洲", "at": "2023-11-14T22:13:20.000Z"}
    services.catalog.publish(b"workflow: {id: open, variables: {x: 1}, nodes: [{id: a, type: tool, tool: echo}]}")
    document = services.documents.document(services.starter.start("open", {"x": 5}))
    assert document["variables"] == {"x": 5}


def test_a_variable_that_cannot_be_computed_refuses_the_start_and_names_it(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(
        b'workflow: {id: w, variables: {bad: "${1 / n}"}, nodes: [{id: a, type: tool, tool: echo}]}'
    )
    with pytest.raises(RequestError, match="bad"):
        services.starter.start("w", {"n": 0})


def test_an_unknown_workflow_or_version_is_not_found(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    for workflow_id, version in (("other", None), ("w", 2)):
        with pytest.raises(RequestError) as refused:
            services.starter.start(workflow_id, version=version)
        assert refused.value.code == "not_found"


def test_publishing_the_same_plan_again_is_the_same_version(backend: Backend) -> None:
    catalog = runtime(backend).catalog
    first = catalog.publish(PLAIN).version
    assert catalog.publish(PLAIN + b" # a comment").version == first
    second = catalog.publish(PLAIN.replace(b"id: a", b"id: b")).version
    assert (first.number, second.number) == (1, 2)
    assert catalog.publish(PLAIN).version.number == 3
    assert catalog.version("w", 1).plan_hash == catalog.version("w").plan_hash


def test_lists_are_by_status_newest_first(backend: Backend) -> None:
    services = runtime(backend)
    services.catalog.publish(PLAIN)
    started = []
    for second in range(4):
        backend.ports.clock.advance_to(START + second * 1000)  # type: ignore[attr-defined]
        started.append(services.starter.start("w"))
    pending, running = (Wanted([ExecutionStatus(status)], "w") for status in ("pending", "running"))

    def listed(wanted: Wanted, limit: int) -> list[str]:
        return [header.execution_id for header in services.documents.list(wanted, limit).headers]

    assert listed(pending, 10) == started[::-1]
    assert listed(pending, 2) == started[:1:-1]
    assert listed(running, 10) == []
