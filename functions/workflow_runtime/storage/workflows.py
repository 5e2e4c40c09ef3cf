"""Workflows, their numbered versions, and plans in the table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from workflow_runtime.errors import ConflictError
from workflow_runtime.language.caching import ByteCache
from workflow_runtime.plan.plan import Plan, decode_plan, encode_plan
from workflow_runtime.plan.specs import AgentSpec
from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import pack_bytes, unpack_bytes

CHUNK_BYTES_MAX = 300 * 1024  # of a compressed plan or source per item (DynamoDB: 400 KB)
PLANS_CACHED_BYTES_MAX = 256 * 1024 * 1024  # per process; a plan of 1,000 nodes takes about 2 MB, the largest some 50
PLAN_BYTES_PER_BYTE = 10  # of a plan in memory, formulas and all, by the length of its JSON
PUBLISH_ATTEMPTS_MAX = 10  # against others who publish the same workflow at the same moment


_AGENTS_BETWEEN = " "  # ids have no spaces


class WorkflowVersion(msgspec.Struct, frozen=True):
    """A stored version: the runtime numbers them 1, 2, 3 … ``published_at`` in epoch ms. ``agents``: those that it
    names; None: the version is from before that was noted.
    """

    workflow_id: str
    number: int
    plan_hash: str
    published_at: int
    source_hash: str = ""
    agents: frozenset[str] | None = None

    @property
    def identity(self) -> str:
        """What tells it from other versions, besides its number."""
        return self.plan_hash


class Pointer(msgspec.Struct, frozen=True):
    """A workflow's own row: its newest version, and whether it is published at present. Times are epoch ms (0: not)."""

    workflow_id: str
    latest: int
    created_at: int
    removed_at: int = 0

    @property
    def position(self) -> str:
        """Its place among all workflows."""
        return keys.workflow_listing(self.workflow_id, self.created_at).sort


class VersionMismatch(ConflictError):
    """Another version is the latest than the one that was to be replaced."""


class WorkflowStore:
    """Versions are immutable and plans are named by their hash, so both may be cached forever."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._plans: ByteCache[str, Plan] = ByteCache(PLANS_CACHED_BYTES_MAX)

    def publish(self, plan: Plan, source: bytes, at: int, over: int | None = None) -> WorkflowVersion:
        """Store a plan as the workflow's next version; the latest version again if it is the same plan.

        ``over``: the version that must be the latest (0: none is published). Raises `VersionMismatch`.
        """
        source_hash = hashlib.sha256(source).hexdigest()[:40]
        self._put_plan(plan, source, source_hash)
        for _ in range(PUBLISH_ATTEMPTS_MAX):
            pointer = self.pointer(plan.workflow_id)
            published = pointer is not None and not pointer.removed_at
            latest = self.version(plan.workflow_id, pointer.latest) if pointer is not None and published else None
            if latest is not None and latest.plan_hash == plan.hash:
                return latest
            if over is not None and over != (latest.number if latest is not None else 0):
                raise VersionMismatch(f"version {latest.number if latest is not None else 0} is the latest, not {over}")
            number = pointer.latest + 1 if pointer is not None else 1
            version = WorkflowVersion(plan.workflow_id, number, plan.hash, at, source_hash, agents_named(plan))
            if self._put_version(version, pointer.created_at if pointer is not None else at):
                return version
        raise ConflictError(f"workflow {plan.workflow_id!r} is being published by others; try again")

    def keep(self, plan: Plan) -> None:
        """Store a plan that is not a version of a workflow."""
        self._put_plan(plan, b"", "")

    def remove(self, pointer: Pointer, at: int) -> bool:
        """Take a workflow out of the catalogue; versions and plans stay. False when it was published meanwhile."""
        attributes: dict[str, Attribute] = {
            "workflow": pointer.workflow_id,
            "latest": pointer.latest,
            "created_at": pointer.created_at,
            "removed_at": at,
        }
        try:
            self._table.put(Item(keys.workflow(pointer.workflow_id), attributes), Equals("latest", pointer.latest))
        except ConditionFailed:
            return False
        return True

    def pointer(self, workflow_id: str) -> Pointer | None:
        """The row of a workflow that is or was published."""
        key = keys.workflow(workflow_id)
        item = self._table.get([key]).get(key)
        return _pointer(item) if item is not None else None

    def list(self, limit: int, before: str | None = None) -> Sequence[Pointer]:
        """Published workflows, the newest first version first, older than the ``position`` given."""
        return [_pointer(item) for item in self._table.query_index(keys.WORKFLOWS, "", before=before, limit=limit)]

    def latest(self, workflow_id: str) -> WorkflowVersion | None:
        """The latest version of a workflow that is published."""
        pointer = self.pointer(workflow_id)
        if pointer is None or pointer.removed_at:
            return None
        return self.version(workflow_id, pointer.latest)

    def latest_of(self, pointers: Sequence[Pointer]) -> Sequence[WorkflowVersion]:
        """The latest version of each of these workflows, in their order."""
        wanted = {keys.workflow_version(pointer.workflow_id, pointer.latest): pointer for pointer in pointers}
        items = self._table.get(tuple(wanted))
        return [
            _version(pointer.workflow_id, pointer.latest, items[key]) for key, pointer in wanted.items() if key in items
        ]

    def version(self, workflow_id: str, number: int) -> WorkflowVersion | None:
        return self.versions(workflow_id, [number]).get(number)

    def versions(self, workflow_id: str, numbers: Sequence[int]) -> dict[int, WorkflowVersion]:
        """Those of these versions that exist, also of a workflow that is not published any more."""
        wanted = {keys.workflow_version(workflow_id, number): number for number in numbers}
        items = self._table.get(tuple(wanted))
        return {number: _version(workflow_id, number, items[key]) for key, number in wanted.items() if key in items}

    def source(self, version: WorkflowVersion) -> bytes:
        """The definition's text as it was published. Raises `KeyError`."""
        prefix = f"{keys.SOURCE_PART}{version.source_hash}#"
        chunks = self._table.query(keys.plan(version.plan_hash, prefix, 0).partition, prefix)
        if not chunks:
            raise KeyError(f"there is no source of plan {version.plan_hash}")
        return unpack_bytes(b"".join(chunk.attributes["data"] for chunk in chunks))  # type: ignore[misc]

    def known_plan(self, plan_hash: str) -> Plan | None:
        """The plan of this hash, if the process's cache has it."""
        return self._plans.get(plan_hash)

    def plan(self, plan_hash: str) -> Plan:
        """The plan of this hash, from the process's cache if it was read before. Raises `KeyError`."""
        plan = self._plans.get(plan_hash)
        if plan is None:
            chunks = self._table.query(keys.plan(plan_hash, keys.PLAN_PART, 0).partition, keys.PLAN_PART)
            if not chunks:
                raise KeyError(f"there is no plan {plan_hash}")
            packed = b"".join(chunk.attributes["data"] for chunk in chunks)  # type: ignore[misc]
            data = unpack_bytes(packed)
            plan = decode_plan(data)
            self._plans.put(plan_hash, plan, PLAN_BYTES_PER_BYTE * len(data))
        return plan

    def _put_plan(self, plan: Plan, source: bytes, source_hash: str) -> None:
        """Different texts may give the same plan: each text stands under its own hash, so that none is cut or mixed."""
        items = []
        for part, data in ((keys.PLAN_PART, encode_plan(plan)), (f"{keys.SOURCE_PART}{source_hash}#", source)):
            packed = pack_bytes(data)
            for number, start in enumerate(range(0, len(packed), CHUNK_BYTES_MAX)):
                chunk = packed[start : start + CHUNK_BYTES_MAX]
                items.append(Item(keys.plan(plan.hash, part, number), {"data": chunk}))
        self._table.put_all(items)

    def _put_version(self, version: WorkflowVersion, created_at: int) -> bool:
        """Version first, pointer second: after a crash in between, the next publisher points at that version."""
        item = Item(
            keys.workflow_version(version.workflow_id, version.number),
            {
                "plan": version.plan_hash,
                "published_at": version.published_at,
                "source": version.source_hash,
                "agents": _AGENTS_BETWEEN.join(sorted(version.agents or ())),
            },
        )
        try:
            self._table.put(item, Absent())
        except ConditionFailed:
            stored = self.version(version.workflow_id, version.number)
            if stored is None or stored.plan_hash != version.plan_hash:
                self._point_at(version.workflow_id, version.number, created_at)
                return False
        self._point_at(version.workflow_id, version.number, created_at)
        return True

    def _point_at(self, workflow_id: str, number: int, created_at: int) -> None:
        """Move the pointer from the version before to this one, unless somebody else did."""
        condition = Absent() if number == 1 else Equals("latest", number - 1)
        attributes: dict[str, Attribute] = {"workflow": workflow_id, "latest": number, "created_at": created_at}
        with suppress(ConditionFailed):
            listing = keys.workflow_listing(workflow_id, created_at)
            self._table.put(Item(keys.workflow(workflow_id), attributes, listing), condition)


def agents_named(plan: Plan) -> frozenset[str]:
    """The agents that nodes of a plan may run, as far as it names them."""
    found: set[str] = set()
    for block in plan.blocks:
        for node in block.nodes:
            if isinstance(node.spec, AgentSpec):
                found.update(node.spec.allow if node.spec.allow else (str(node.spec.agent),))
    return frozenset(found)


def _pointer(item: Item) -> Pointer:
    values = item.attributes
    return Pointer(
        str(values["workflow"]),
        int(values["latest"] or 0),
        int(values.get("created_at") or 0),
        int(values.get("removed_at") or 0),
    )


def _version(workflow_id: str, number: int, item: Item) -> WorkflowVersion:
    values = item.attributes
    source = str(values.get("source") or "")
    agents = values.get("agents")
    return WorkflowVersion(
        workflow_id,
        number,
        str(values["plan"]),
        int(values["published_at"] or 0),
        source,
        frozenset(filter(None, str(agents).split(_AGENTS_BETWEEN))) if agents is not None else None,
    )
