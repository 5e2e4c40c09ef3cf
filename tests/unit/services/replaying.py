"""The journal of an execution, taken again."""

from __future__ import annotations

from workflow_runtime.engine.advance import NOTHING_KNOWN, new_execution
from workflow_runtime.engine.recording import decode_recording, encode_recording, first_deviation
from workflow_runtime.engine.replay import replay
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.dispatch.reads import Knowledge


def assert_replays(services: Runtime, execution_id: str) -> None:
    """The execution's journal leads to the state that is stored, and so does what people export of it."""
    store = services.stores.executions
    stored, header = store.load(execution_id), store.header(execution_id)
    assert stored is not None
    assert header is not None
    knowledge = Knowledge(services.ports.table, services.stores)
    plan = services.stores.workflows.plan(header.plan_hash)
    first = new_execution(plan, execution_id, header.workflow_version, header.started_at, header.parent, header.hops)
    journal = store.journal(execution_id)
    assert replay(plan, first, journal, lambda n: knowledge.fetch(plan, execution_id, n, NOTHING_KNOWN)) == stored.state
    exported = encode_recording(services.recordings.whole(execution_id))
    assert first_deviation(decode_recording(exported)) is None
