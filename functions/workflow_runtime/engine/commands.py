"""Commands: what the engine orders, in the imperative. Carried out only after the state that ordered them is committed.

A command's id is ``execution:version:index`` (its place in the commit), so carrying it out again is recognised.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.errors import ErrorDocument
from workflow_runtime.plan import Json


class Read(msgspec.Struct, frozen=True, array_like=True):
    """A recorded run that a node reads: node index in its block, and serial."""

    node: int
    serial: int


class RunNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="run_node"):
    """Run one attempt of a node in a worker pool.

    ``reads``: the ended runs its formulas may see, fixed when it became ready (``at``, epoch ms: its ``now``).
    ``previous``: index of the node that ``${previous}`` means, -1 for none. ``statuses``: status by node index, for
    ``${nodes.x.status}`` and for reads that did not succeed. ``succeeded_by``: of outputs, the succeed node that ended
    the scope (see `turn.Turn.yields`).
    """

    path: str
    serial: int
    pool: str
    at: int
    visit: int = 1
    attempt: int = 1
    reads: tuple[Read, ...] = ()
    previous: int = -1
    statuses: dict[int, str] = {}
    succeeded_by: int = -1


class RecordNode(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="record_node"):
    """Record the run of a node that the dispatcher ran itself. ``blob``: where a large output was stored before the
    commit.
    """

    path: str
    serial: int
    at: int
    output: Json = None
    error: ErrorDocument | None = None
    blob: str | None = None


class CancelRun(msgspec.Struct, frozen=True, tag_field="command", tag="cancel_run"):
    """Close a run that no worker has claimed yet; one under way goes on, and its result is ignored."""

    path: str
    serial: int


class PublishEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="publish_event"):
    """Publish a lifecycle event; ``detail`` is completed with the execution's identity when it is sent."""

    detail_type: str
    detail: dict[str, Json]


class SetStatus(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="command", tag="set_status"):
    """Write the execution's new status to its header; with the output (or where it was recorded) and error when it
    ended.
    """

    status: str
    at: int
    output: Json = None
    output_run: Read | None = None
    error: ErrorDocument | None = None
    blob: str | None = None


class Continue(msgspec.Struct, frozen=True, tag_field="command", tag="continue"):
    """Poke the own mailbox: nodes are ready beyond what one commit may order."""


Command: TypeAlias = RunNode | RecordNode | CancelRun | PublishEvent | SetStatus | Continue
