"""The engine in this process: what its calls give and raise."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

import workflow_runtime
from workflow_runtime.frontends.client import (
    Conflict,
    EngineError,
    InvalidDefinition,
    InvalidInput,
    NotFound,
    SyncWorkflowEngine,
    Unavailable,
    WaitTimeout,
    WorkflowEngine,
)

DEFINITIONS = Path(__file__).parents[3] / "definitions"
Result = TypeVar("Result")

GREETING: dict[str, Any] = {
    "id": "问候",
    "input_schema": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
    "nodes": [{"id": "hello", "type": "tool", "tool": "echo", "inputs": {"text": "您好，${name}"}}],
    "outputs": {"text": "${hello.text}"},
}
WAITING = {"id": "waiting", "nodes": [{"id": "slow", "type": "agent", "agent": "sleeper"}]}
NEVER = {"agents": {"sleeper": {"delay": 3600, "return": {}}}}


def run(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(work)


def test_the_package_exports_the_engine_and_nothing_that_is_not_there() -> None:
    assert workflow_runtime.WorkflowEngine is WorkflowEngine
    with pytest.raises(AttributeError, match="NotThere"):
        _ = workflow_runtime.NotThere


def test_the_modules_of_tools_are_imported_once(tmp_path: Path) -> None:
    count = tmp_path / "imports"
    (tmp_path / "definitions" / "tools").mkdir(parents=True)
    (tmp_path / "definitions" / "tools" / "mine.py").write_text(
        "from workflow_runtime.sdk import tool\n"
        f"with open({str(count)!r}, 'a') as file:\n    file.write('imported ')\n"
        "@tool\ndef mine() -> int: return 1\n"
    )

    async def use() -> None:
        async with WorkflowEngine.local(tmp_path / "definitions") as engine:
            workflow_id = await engine.create_workflow(
                {"id": "w", "nodes": [{"id": "a", "type": "tool", "tool": "mine"}]}
            )
            execution_id = await engine.execute_workflow(workflow_id, wait=100)
            assert (await engine.get_execution_status(execution_id))["status"] == "completed"

    run(use())
    assert count.read_text() == "imported "


def test_a_workflow_is_created_executed_and_looked_at() -> None:
    async def use() -> None:
        async with WorkflowEngine.local() as engine:
            workflow_id = await engine.create_workflow(GREETING)
            assert workflow_id == "问候"
            execution_id = await engine.execute_workflow(workflow_id, {"name": "王小明"}, wait=100)
            document = await engine.get_execution_status(execution_id)
            assert document["status"] == "completed"
            assert document["output"] == {"text": "您好，王小明"}
            assert await engine.wait(execution_id) == document

    run(use())


def test_many_executions_run_side_by_side_and_each_keeps_its_own_input() -> None:
    async def use() -> None:
        async with WorkflowEngine.local() as engine:
            workflow_id = await engine.create_workflow(GREETING)
            names = [f"客人{number}" for number in range(50)]
            ids = await asyncio.gather(*(engine.execute_workflow(workflow_id, {"name": name}) for name in names))
            documents = await asyncio.gather(*(engine.wait(id, 100) for id in ids))
            assert [document["output"]["text"] for document in documents] == [f"您好，{name}" for name in names]
            assert len(set(ids)) == 50

    run(use())


@pytest.mark.parametrize("form", ["path", "text of a path", "yaml", "json", "whole document"])
def test_a_definition_may_be_a_file_a_mapping_or_a_text(form: str, tmp_path: Path) -> None:
    text = "workflow:\n  id: small\n  nodes: [{id: a, type: tool, tool: echo}]\n"
    file = tmp_path / "small.yaml"
    file.write_text(text)
    forms: dict[str, Any] = {
        "path": file,
        "text of a path": str(file),
        "yaml": text,
        "json": '{"workflow": {"id": "small", "nodes": [{"id": "a", "type": "tool", "tool": "echo"}]}}',
        "whole document": {"workflow": {"id": "small", "nodes": [{"id": "a", "type": "tool", "tool": "echo"}]}},
    }
    with SyncWorkflowEngine.local() as engine:
        assert engine.create_workflow(forms[form]) == "small"


def test_a_definition_that_cannot_be_compiled_raises_every_finding() -> None:
    broken = {"id": "broken", "nodes": [{"id": "a", "type": "tool"}, {"id": "b", "type": "nonsense"}]}
    with SyncWorkflowEngine.local() as engine, pytest.raises(InvalidDefinition) as caught:
        engine.create_workflow(broken)
    assert len(caught.value.findings) == 2
    assert all(finding.line for finding in caught.value.findings)


def test_what_is_not_there_is_not_found() -> None:
    with SyncWorkflowEngine.local() as engine:
        for call in (
            lambda: engine.execute_workflow("nobody"),
            lambda: engine.get_execution_status("ex-none"),
            lambda: engine.wait("ex-none"),
            lambda: engine.list_executions("nobody"),
        ):
            with pytest.raises(NotFound):
                call()


def test_an_input_that_does_not_fit_is_refused() -> None:
    with SyncWorkflowEngine.local() as engine:
        workflow_id = engine.create_workflow(GREETING)
        with pytest.raises(InvalidInput, match="name"):
            engine.execute_workflow(workflow_id, {})
        with pytest.raises(InvalidInput, match="object"):
            engine.execute_workflow(workflow_id, ["a list"])


def test_one_idempotency_key_starts_one_execution_and_refuses_another_input() -> None:
    with SyncWorkflowEngine.local() as engine:
        workflow_id = engine.create_workflow(GREETING)
        first = engine.execute_workflow(workflow_id, {"name": "a"}, idempotency_key="订单-1")
        assert engine.execute_workflow(workflow_id, {"name": "a"}, idempotency_key="订单-1") == first
        with pytest.raises(Conflict):
            engine.execute_workflow(workflow_id, {"name": "b"}, idempotency_key="订单-1")


def test_waiting_ends_after_its_time_and_the_execution_goes_on() -> None:
    with SyncWorkflowEngine.local(mocks=NEVER) as engine:
        execution_id = engine.execute_workflow(engine.create_workflow(WAITING), wait=0.01)
        assert engine.get_execution_status(execution_id)["status"] in ("pending", "running")
        with pytest.raises(WaitTimeout, match="has not ended within") as caught:
            engine.wait(execution_id, timeout=0.01)
        assert isinstance(caught.value, TimeoutError)


def test_executions_are_listed_newest_first_by_status() -> None:
    with SyncWorkflowEngine.local(mocks=NEVER) as engine:
        greeting, waiting = engine.create_workflow(GREETING), engine.create_workflow(WAITING)
        ids = [engine.execute_workflow(greeting, {"name": str(number)}, wait=100) for number in range(3)]
        engine.execute_workflow(waiting)
        listed = engine.list_executions(greeting)
        assert {entry["execution_id"] for entry in listed} == set(ids)
        assert [entry["started_at"] for entry in listed] == sorted((e["started_at"] for e in listed), reverse=True)
        assert len(engine.list_executions(greeting, "completed", limit=2)) == 2
        assert engine.list_executions(greeting, "failed") == []
        with pytest.raises(InvalidInput, match="known: pending"):
            engine.list_executions(greeting, "done")


def test_what_one_process_left_open_goes_on_in_the_next(tmp_path: Path) -> None:
    database = tmp_path / "runs.db"
    with SyncWorkflowEngine.local(db=database, mocks=NEVER) as engine:
        engine.create_workflow(WAITING)
        execution_id = engine.execute_workflow("waiting", wait=0.05)
        with pytest.raises(EngineError, match="is in use by process") as caught, SyncWorkflowEngine.local(db=database):
            pass
        assert caught.value.code == "database_locked"
    with SyncWorkflowEngine.local(db=database, mocks={"agents": {"sleeper": {"return": {}}}}) as engine:
        assert engine.wait(execution_id, timeout=100)["status"] in ("completed", "failed")


def test_the_workflows_of_a_definitions_directory_are_there_at_once() -> None:
    mocks = DEFINITIONS / "mocks" / "parallel_research.yaml"
    with SyncWorkflowEngine.local(DEFINITIONS, mocks=mocks) as engine:
        execution_id = engine.execute_workflow("parallel_research", {"topic": "电动车"}, wait=100)
        assert engine.get_execution_status(execution_id)["output"]["conclusion"] == "支持"


def test_a_mock_of_what_does_not_exist_is_told_at_the_first_start() -> None:
    with SyncWorkflowEngine.local(
        mocks={"agents": {"sleepr": {"return": {}}}, "tools": {"echo": {"return": 1}}}
    ) as engine:
        engine.create_workflow(WAITING)
        engine.create_workflow(GREETING)
        with pytest.raises(InvalidDefinition) as caught:
            engine.execute_workflow("问候", {"name": "a"})
        [finding] = caught.value.findings
        assert (finding.id, finding.path, finding.hint) == ("WF607", "agents.sleepr", "Did you mean `sleeper`?")


def test_mocks_may_be_for_any_workflow_that_is_published_by_then(tmp_path: Path) -> None:
    with SyncWorkflowEngine.local(db=tmp_path / "e.db") as engine:
        engine.create_workflow(WAITING)
    with SyncWorkflowEngine.local(db=tmp_path / "e.db", mocks={"agents": {"sleeper": {"return": 1}}}) as engine:
        engine.create_workflow(GREETING)
        assert engine.execute_workflow("waiting", wait=100)


def test_definitions_that_are_wrong_or_missing_are_told_on_opening(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no directory"), SyncWorkflowEngine.local(tmp_path / "none"):
        pass
    (tmp_path / "workflows").mkdir()
    for name in ("one", "two"):
        (tmp_path / "workflows" / f"{name}.yaml").write_text(f"workflow: {{id: {name}, nodez: []}}")
    with pytest.raises(InvalidDefinition) as caught, SyncWorkflowEngine.local(tmp_path):
        pass
    assert {Path(finding.file).name for finding in caught.value.findings} == {"one.yaml", "two.yaml"}


def test_an_engine_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(Unavailable, match="async with"):
        run(WorkflowEngine.local().get_execution_status("ex-1"))
    with pytest.raises(RuntimeError, match="with SyncWorkflowEngine"):
        SyncWorkflowEngine.local().get_execution_status("ex-1")


def test_closing_the_engine_releases_who_waits() -> None:
    async def use() -> None:
        async with WorkflowEngine.local(mocks=NEVER) as engine:
            execution_id = await engine.execute_workflow(await engine.create_workflow(WAITING))
            waiting = asyncio.create_task(engine.wait(execution_id))
            await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="stopped"):
            await waiting

    run(use())
