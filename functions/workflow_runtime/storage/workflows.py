"""Workflows, their numbered versions, and plans in the table."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from workflow_runtime.errors import ConflictError
from workflow_runtime.plan import Plan, decode_plan, encode_plan
from workflow_runtime.ports import Absent, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import pack_bytes, unpack_bytes

CHUNK_BYTES_MAX = 300 * 1024  # of a compressed plan or source per item (DynamoDB: 400 KB)
PLANS_CACHED_MAX = 64  # per process; a plan of 1,000 nodes takes about 2 MB
PUBLISH_ATTEMPTS_MAX = 10  # against others who publish the same workflow at the same moment


class WorkflowVersion(msgspec.Struct, frozen=True):
    """A stored version: the runtime numbers them 1, 2, 3 … ``published_at`` in epoch ms."""

    workflow_id: str
    number: int
    plan_hash: str
    published_at: int


class WorkflowStore:
    """Versions are immutable and plans are named by their hash, so both may be cached for ever."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._plans: dict[str, Plan] = {}

    def publish(self, plan: Plan, source: bytes, at: int) -> WorkflowVersion:
        """Store a plan as the workflow's next version; the latest version again if it is the same plan."""
        self._put_plan(plan, source)
        for _ in range(PUBLISH_ATTEMPTS_MAX):
            latest = self.latest(plan.workflow_id)
            if latest is not None and latest.plan_hash == plan.hash:
                return latest
            version = WorkflowVersion(plan.workflow_id, latest.number + 1 if latest else 1, plan.hash, at)
            if self._put_version(version):
                return version
        raise ConflictError(f"workflow {plan.workflow_id!r} is being published by others; try again")

    def latest(self, workflow_id: str) -> WorkflowVersion | None:
        key = keys.workflow(workflow_id)
        item = self._table.get([key]).get(key)
        if item is None:
            return None
        return self.version(workflow_id, int(item.attributes["latest"] or 0))

    def version(self, workflow_id: str, number: int) -> WorkflowVersion | None:
        key = keys.workflow_version(workflow_id, number)
        item = self._table.get([key]).get(key)
        if item is None:
            return None
        values = item.attributes
        return WorkflowVersion(workflow_id, number, str(values["plan"]), int(values["published_at"] or 0))

    def plan(self, plan_hash: str) -> Plan:
        """The plan of this hash, from the process's cache if it was read before. Raises `KeyError`."""
        plan = self._plans.get(plan_hash)
        if plan is None:
            chunks = self._table.query(keys.plan(plan_hash, keys.PLAN_PART, 0).partition, keys.PLAN_PART)
            if not chunks:
                raise KeyError(f"there is no plan {plan_hash}")
            packed = b"".join(chunk.attributes["data"] for chunk in chunks)  # type: ignore[misc]
            plan = decode_plan(unpack_bytes(packed))
            if len(self._plans) >= PLANS_CACHED_MAX:
                del self._plans[next(iter(self._plans))]
            self._plans[plan_hash] = plan
        return plan

    def _put_plan(self, plan: Plan, source: bytes) -> None:
        items = []
        for part, data in ((keys.PLAN_PART, encode_plan(plan)), (keys.SOURCE_PART, source)):
            packed = pack_bytes(data)
            for number, start in enumerate(range(0, len(packed), CHUNK_BYTES_MAX)):
                chunk = packed[start : start + CHUNK_BYTES_MAX]
                items.append(Item(keys.plan(plan.hash, part, number), {"data": chunk}))
        self._table.put_all(items)

    def _put_version(self, version: WorkflowVersion) -> bool:
        """Version first, pointer second: whoever dies in between leaves a version that the next publisher points at."""
        item = Item(
            keys.workflow_version(version.workflow_id, version.number),
            {"plan": version.plan_hash, "published_at": version.published_at},
        )
        try:
            self._table.put(item, Absent())
        except ConditionFailed:
            stored = self.version(version.workflow_id, version.number)
            if stored is None or stored.plan_hash != version.plan_hash:
                self._point_at(version.workflow_id, version.number)
                return False
        self._point_at(version.workflow_id, version.number)
        return True

    def _point_at(self, workflow_id: str, number: int) -> None:
        """Move the pointer from the version before to this one, unless somebody else did."""
        condition = Absent() if number == 1 else Equals("latest", number - 1)
        with suppress(ConditionFailed):
            self._table.put(Item(keys.workflow(workflow_id), {"workflow": workflow_id, "latest": number}), condition)
