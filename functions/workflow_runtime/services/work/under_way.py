"""In the worker: an attempt under way, as those who carry it out share it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from workflow_runtime.engine.events import Event
from workflow_runtime.engine.values.evaluation import NodeValue
from workflow_runtime.invokers.invocation import Late, Meter, Stop
from workflow_runtime.invokers.masking import NOTHING_SECRET, Mask
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Item
from workflow_runtime.services.limits.admission import NOTHING_TAKEN, Admitted
from workflow_runtime.services.messages import Order
from workflow_runtime.services.work.callbacks import AttemptToken
from workflow_runtime.services.work.live import LiveWriter
from workflow_runtime.services.work.rendering import Rendering
from workflow_runtime.services.work.sessions import VisitSessions
from workflow_runtime.services.work.steps import VisitSteps
from workflow_runtime.storage.outbox import Commit
from workflow_runtime.storage.records import Globals, Header, Run


class Suspended(Exception):
    """The execution is suspended: nothing of it may begin."""


class Values(msgspec.Struct):
    """What the formulas of an order may read: the execution's ``header``, what ``nodes`` came to by number, ``globals``
    if they are read, and the run that a compensation undoes."""

    header: Header
    nodes: dict[int, NodeValue]
    globals: Globals | None = None
    undone: Item | None = None


class Segment(msgspec.Struct):
    """The attempts that one order leads to, of which most lead to one: the ``order``, when its worker ``began`` (epoch
    ms), numbers of the nodes that are ``left``, what was read for all of them, what there is to report, and what is
    taken of limiters: by the first of them, and kept as long as those that follow need just that; ``held_from``: when
    its slots were last taken or renewed (epoch ms)."""

    order: Order
    began: int
    left: tuple[int, ...] = ()
    values: Values | None = None
    events: list[Event] = []
    admitted: Admitted = NOTHING_TAKEN
    held_from: int = 0

    def seconds_held(self, now: int) -> float:
        """How long its slots were not renewed; 0 if it has none. Nodes that are short take long together."""
        return (now - self.held_from) / 1000 if self.admitted.uses else 0.0


class Attempt(msgspec.Struct):
    """An attempt under way, of a ``segment``: its order, what it runs, its record as claimed, its task token, and
    ``steps``, ``live`` and ``sessions``, if it runs an agent. ``is_told``: it was begun in place,
    and the dispatcher has been told before its end, as others may know of it. ``commit``: what is written in one
    transaction with its record. ``stop`` tells its code that nobody wants it any more; ``late``, what that came to when
    it was over. ``heeded``: names of limiters that its requests have closed whenever one of their models had enough.
    ``node``: what it runs; None: it puts the execution's output together."""

    order: Order
    plan: Plan
    claimed: Run
    token: AttemptToken
    segment: Segment
    rendering: Rendering | None = None
    meter: Meter = msgspec.field(default_factory=Meter)
    stop: Stop = msgspec.field(default_factory=Stop)
    late: Late = msgspec.field(default_factory=Late)
    steps: VisitSteps | None = None
    live: LiveWriter | None = None
    sessions: VisitSessions | None = None
    header: Header | None = None
    is_told: bool = False
    commit: Commit | None = None
    heeded: Collection[str] = ()
    node: NodePlan | None = None

    def __post_init__(self) -> None:
        self.node = node_of(self.plan, self.order.command.path)

    @property
    def admitted(self) -> Admitted:
        """What is taken of limiters for it."""
        return self.segment.admitted

    @property
    def pool(self) -> str:
        """The worker pool that runs it."""
        return self.order.command.pool

    @property
    def is_agent(self) -> bool:
        return self.node is not None and self.node.type is NodeType.AGENT

    @property
    def mask(self) -> Mask:
        """Hides what its inputs hold of secrets; nothing is secret before they are read."""
        return self.rendering.mask if self.rendering is not None else NOTHING_SECRET


def ids_of(order: Order) -> dict[str, Any]:
    """What a log line says of an order."""
    return {"execution_id": order.execution_id, "node": order.command.path, "serial": order.command.serial}
