"""All stores of a backend, each imported and made when it is first used: a function uses a few of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.ports import Ports, Table
from workflow_runtime.storage.retention import ExpiringTable, Renewal, Retention

if TYPE_CHECKING:
    from workflow_runtime.storage.agents import AgentStore
    from workflow_runtime.storage.applied import AppliedStore
    from workflow_runtime.storage.approvals import ApprovalStore
    from workflow_runtime.storage.budgets import BudgetStore
    from workflow_runtime.storage.counters import CounterStore
    from workflow_runtime.storage.dead_letters import LetterStore
    from workflow_runtime.storage.due import DueStore
    from workflow_runtime.storage.executions import ExecutionStore
    from workflow_runtime.storage.exposed import ExposedStore
    from workflow_runtime.storage.freezes import FreezeStore
    from workflow_runtime.storage.held import HeldStore
    from workflow_runtime.storage.limiters import LimiterStore
    from workflow_runtime.storage.listing import Listing
    from workflow_runtime.storage.live import LiveStore
    from workflow_runtime.storage.outbox import OutboxStore
    from workflow_runtime.storage.requests import RequestStore
    from workflow_runtime.storage.runs import RunStore
    from workflow_runtime.storage.sessions import SessionStore
    from workflow_runtime.storage.steps import StepStore
    from workflow_runtime.storage.subscriptions import OwnerStore, SubscriptionStore
    from workflow_runtime.storage.tasks import TaskStore
    from workflow_runtime.storage.triggers import TriggerStore
    from workflow_runtime.storage.workflows import WorkflowStore


class Stores:
    """What services read and write of the one table and the blob store behind ``ports``. ``retention_days``: how long
    executions are kept."""

    def __init__(self, ports: Ports, retention_days: int = RETENTION_DAYS) -> None:
        self.retention = Retention(ports.clock.now, retention_days)
        self._table = ExpiringTable(ports.table, self.retention)
        self._blobs = ports.blobs
        self._together = ports.together

    @property
    def table(self) -> Table:
        """What the stores write to: items of executions are kept as long as the deployment keeps them."""
        return self._table

    @cached_property
    def executions(self) -> ExecutionStore:
        from workflow_runtime.storage.executions import ExecutionStore

        return ExecutionStore(self._table, self._blobs)

    @cached_property
    def runs(self) -> RunStore:
        from workflow_runtime.storage.runs import RunStore

        return RunStore(self._table, self._blobs)

    @cached_property
    def listing(self) -> Listing:
        from workflow_runtime.storage.listing import Listing

        return Listing(self._table, self.executions.headers, self._together)

    @cached_property
    def renewal(self) -> Renewal:
        return Renewal(self._table, self._blobs)

    @cached_property
    def dead_letters(self) -> LetterStore:
        from workflow_runtime.storage.dead_letters import LetterStore  # few executions have any

        return LetterStore(self._table, self._blobs)

    @cached_property
    def workflows(self) -> WorkflowStore:
        from workflow_runtime.storage.workflows import WorkflowStore

        return WorkflowStore(self._table)

    @cached_property
    def triggers(self) -> TriggerStore:
        from workflow_runtime.storage.triggers import TriggerStore  # with it comes the pattern language

        return TriggerStore(self._table)

    @cached_property
    def agents(self) -> AgentStore:
        from workflow_runtime.storage.agents import AgentStore

        return AgentStore(self._table)

    @cached_property
    def live(self) -> LiveStore:
        from workflow_runtime.storage.live import LiveStore  # few executions are watched

        return LiveStore(self._table)

    @cached_property
    def exposed(self) -> ExposedStore:
        from workflow_runtime.storage.exposed import ExposedStore  # few workflows are tools of others

        return ExposedStore(self._table)

    def counters(self, shard: int) -> CounterStore:
        """``shard``: the one that this process writes to."""
        from workflow_runtime.storage.counters import CounterStore  # only deployed functions count in the table

        return CounterStore(self._table, self._together, shard)

    @cached_property
    def subscriptions(self) -> SubscriptionStore:
        from workflow_runtime.storage.subscriptions import SubscriptionStore

        return SubscriptionStore(self._table)

    @cached_property
    def owners(self) -> OwnerStore:
        from workflow_runtime.storage.subscriptions import OwnerStore

        return OwnerStore(self._table)

    @cached_property
    def applied(self) -> AppliedStore:
        from workflow_runtime.storage.applied import AppliedStore  # most executions get no events from outside

        return AppliedStore(self._table)

    @cached_property
    def held(self) -> HeldStore:
        from workflow_runtime.storage.held import HeldStore  # few executions are suspended

        return HeldStore(self._table, self._blobs)

    @cached_property
    def requests(self) -> RequestStore:
        from workflow_runtime.storage.requests import RequestStore  # only the API takes requests

        return RequestStore(self._table)

    @cached_property
    def steps(self) -> StepStore:
        from workflow_runtime.storage.steps import StepStore  # only agents have steps

        return StepStore(self._table, self._blobs)

    @cached_property
    def sessions(self) -> SessionStore:
        from workflow_runtime.storage.sessions import SessionStore  # few agents remember what was said

        return SessionStore(self._table, self._together)

    @cached_property
    def tasks(self) -> TaskStore:
        from workflow_runtime.storage.tasks import TaskStore  # few nodes have callbacks

        return TaskStore(self._table)

    @cached_property
    def approvals(self) -> ApprovalStore:
        from workflow_runtime.storage.approvals import ApprovalStore  # few workflows ask people

        return ApprovalStore(self._table, self._blobs)

    @cached_property
    def freezes(self) -> FreezeStore:
        from workflow_runtime.storage.freezes import FreezeStore

        return FreezeStore(self._table, self._blobs)

    @cached_property
    def limiters(self) -> LimiterStore:
        from workflow_runtime.storage.limiters import LimiterStore

        return LimiterStore(self._table, self._blobs)

    @cached_property
    def budgets(self) -> BudgetStore:
        from workflow_runtime.storage.budgets import BudgetStore  # few workflows have budgets

        return BudgetStore(self._table)

    @cached_property
    def outbox(self) -> OutboxStore:
        from workflow_runtime.storage.outbox import OutboxStore

        return OutboxStore(self._table, self._blobs)

    @cached_property
    def due(self) -> DueStore:
        from workflow_runtime.storage.due import DueStore

        return DueStore(self._table)
