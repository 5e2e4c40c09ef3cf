"""The composition root: one backend's ports, and the services built on them when they are first used.

A function uses two or three of these; the others, and what they import, are never loaded there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.runtime.catalog_services import CatalogServices
from workflow_runtime.runtime.environment import EnvironmentSecrets as EnvironmentSecrets
from workflow_runtime.runtime.environment import workflow_env as workflow_env
from workflow_runtime.runtime.foundation import numbered_ids
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.services.control.bulk import Bulk
    from workflow_runtime.services.control.requests import Control
    from workflow_runtime.services.dispatch.dispatcher import Dispatcher
    from workflow_runtime.services.express import ExpressNow, ExpressSender, Within
    from workflow_runtime.services.freeze.requests import Freezes
    from workflow_runtime.services.intake.approvals import Approvals
    from workflow_runtime.services.intake.events import Ingest
    from workflow_runtime.services.intake.signals import Signalling
    from workflow_runtime.services.intake.starts import Starter
    from workflow_runtime.services.intake.tasks import Tasks
    from workflow_runtime.services.intake.webhooks import Webhooks
    from workflow_runtime.services.limits.admission import Admission
    from workflow_runtime.services.limits.budgets import Budgets
    from workflow_runtime.services.limits.gates import Gates
    from workflow_runtime.services.limits.granting import Granter, Pump
    from workflow_runtime.services.limits.line import Lines
    from workflow_runtime.services.limits.requests import Limits
    from workflow_runtime.services.limits.starts import StartAdmission
    from workflow_runtime.services.sessions import SessionViews
    from workflow_runtime.services.timers import Timers
    from workflow_runtime.services.upkeep.dead_letters import DeadLetters
    from workflow_runtime.services.upkeep.redrive import Redrive
    from workflow_runtime.services.upkeep.sweep import Sweep
    from workflow_runtime.services.views.approvals import ApprovalViews
    from workflow_runtime.services.views.executions import Documents
    from workflow_runtime.services.views.recordings import Recordings
    from workflow_runtime.services.views.streams import Streams
    from workflow_runtime.services.views.taken import Taken
    from workflow_runtime.services.views.traces import Traces
    from workflow_runtime.services.views.usage import UsageReports
    from workflow_runtime.services.views.why import Explanations
    from workflow_runtime.services.work.outbox import Outbox
    from workflow_runtime.services.work.runner import NodeRunner


class Runtime(CatalogServices):
    """Everything that handlers and the command line call."""

    def within(self, ports: Ports) -> Runtime:
        """A runtime on other ports for one execution, with the same agents, tools and settings: the express executions
        that it awaits run within it, and nothing waits in line.
        """
        inner = Runtime(
            ports,
            lambda: self.invokers,
            secrets=self._secrets,
            env=self._env,
            new_id=numbered_ids(self._new_id()),
            count=self.count,
            attempt_ended=self._attempt_ended,
            stands_in=self._stands_in,
            is_within=True,
            tally=self.tally,
        )
        inner.looks = self.looks  # what was seen of switches and limiters a moment ago need not be read again
        inner.stores.workflows = self.stores.workflows  # nor plans
        return inner

    @cached_property
    def _viewed(self) -> Ports:
        """The ports through which views look: recorded express executions look like all others."""
        from workflow_runtime.storage.express import RecordedTable  # workers never look

        return replace(self.ports, table=RecordedTable(self.ports.table, self.ports.blobs))

    @cached_property
    def viewed_stores(self) -> Stores:
        """The stores of `_viewed`, for whoever reads the header of an execution before all else of it."""
        return Stores(self._viewed, self._retention_days)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        from workflow_runtime.services.dispatch.dispatcher import Dispatcher
        from workflow_runtime.services.dispatch.effects import Publisher
        from workflow_runtime.services.dispatch.outbound import Courier
        from workflow_runtime.services.dispatch.pacing import TimeBudget

        budget = TimeBudget(self.ports.clock)
        courier = Courier(self.stores, self.mailer, self.timers, lambda: self.starter, lambda: self.express_sender)
        publisher = Publisher(
            self.ports, self.stores, self.mailer, courier, self.count, self._served, budget, self.starts, self.tally
        )
        return Dispatcher(self.ports, self.stores, courier, publisher, self.starts, self._new_id, self.count, budget)

    @cached_property
    def lines(self) -> Lines:
        from workflow_runtime.services.limits.line import Lines

        return Lines(self.ports, self.stores.limiters, self._new_id, self.count)

    @cached_property
    def starts(self) -> StartAdmission:
        from workflow_runtime.services.limits.starts import Begun, StartAdmission

        return (Begun if self._is_within else StartAdmission)(
            self.ports.clock, self.lines, self.looks, lambda: self.budgets
        )

    @cached_property
    def granter(self) -> Granter:
        from workflow_runtime.services.limits.granting import Granter

        return Granter(self.ports, self.stores.limiters, self.mailer)

    @cached_property
    def pump(self) -> Pump:
        from workflow_runtime.services.limits.granting import Pump

        return Pump(self.ports, self.stores.limiters, self.stores.freezes, self.lines, self.granter, self.count)

    @cached_property
    def limits(self) -> Limits:
        from workflow_runtime.services.limits.requests import Limits

        return Limits(self.ports.clock, self.stores, self.lines, self.looks, self.budgets)

    @cached_property
    def admission(self) -> Admission:
        from workflow_runtime.services.limits.admission import Admission

        return Admission(
            self.ports,
            self.stores.runs,
            self.lines,
            self.granter,
            self.looks,
            self._served,
        )

    @cached_property
    def budgets(self) -> Budgets:
        from workflow_runtime.services.limits.budgets import Budgets

        return Budgets(self.ports.clock, self.stores.budgets, self.count)

    @cached_property
    def gates(self) -> Gates:
        from workflow_runtime.services.limits.gates import Gates

        return Gates(self.ports, self.stores, self.budgets, self.lines, self.looks)

    @cached_property
    def freezes(self) -> Freezes:
        from workflow_runtime.services.freeze.requests import Freezes

        return Freezes(self.ports.clock, self.stores, self.looks, self.lines, self.mailer)

    @cached_property
    def documents(self) -> Documents:
        from workflow_runtime.services.views.executions import Documents

        return Documents(self._viewed, self.viewed_stores, self.looks)

    @cached_property
    def explanations(self) -> Explanations:
        from workflow_runtime.services.views.why import Explanations

        return Explanations(self._viewed, self.viewed_stores, self.looks)

    @cached_property
    def streams(self) -> Streams:
        from workflow_runtime.services.views.streams import Streams

        return Streams(self.ports, self.stores, self.documents)

    @cached_property
    def taken(self) -> Taken:
        from workflow_runtime.services.views.taken import Taken

        return Taken(self.viewed_stores)

    @cached_property
    def usage_reports(self) -> UsageReports:
        from workflow_runtime.services.views.usage import UsageReports

        return UsageReports(self.viewed_stores, self.documents.list)

    @cached_property
    def traces(self) -> Traces:
        from workflow_runtime.services.views.traces import Traces

        return Traces(self._viewed, self.viewed_stores)

    @cached_property
    def recordings(self) -> Recordings:
        from workflow_runtime.services.views.recordings import Recordings

        return Recordings(self._viewed, self.viewed_stores)

    @cached_property
    def ingest(self) -> Ingest:
        from workflow_runtime.services.intake.events import Ingest

        return Ingest(self.ports, self.stores, self.mailer, self.triggers, self.starter, self.count)

    @cached_property
    def webhooks(self) -> Webhooks:
        from workflow_runtime.services.intake.webhooks import Webhooks

        return Webhooks(self.ports, self.triggers, self.starter, self._secrets, self._new_id)

    @cached_property
    def starter(self) -> Starter:
        from workflow_runtime.services.intake.starts import Starter

        return Starter(
            self.ports.clock,
            self.stores,
            self.mailer,
            self.catalog,
            self._new_id,
            self._env,
            self._stands_in,
            self.looks,
            self._within if self._is_within else None,
        )

    @cached_property
    def express_sender(self) -> ExpressSender:
        from workflow_runtime.services.express import ExpressSender  # few workflows are express

        return ExpressSender(self.ports)

    @cached_property
    def _within(self) -> Within:
        from workflow_runtime.services.express import Within

        return Within(self.express_sender, self.mailer, self.viewed_stores.executions, self.ports.clock.now)

    @cached_property
    def express_now(self) -> ExpressNow | None:
        """Runs those that somebody waits for; None: they come by their queue, like all others."""
        from workflow_runtime.services.express import ExpressNow

        return ExpressNow(self.ports, self._run_express, self.starter) if self._run_express is not None else None

    @cached_property
    def signalling(self) -> Signalling:
        from workflow_runtime.services.intake.signals import Signalling

        return Signalling(self.ports, self.stores, self.mailer, self._new_id)

    @cached_property
    def tasks(self) -> Tasks:
        from workflow_runtime.services.intake.tasks import Tasks

        return Tasks(self.ports, self.stores, self.mailer)

    @cached_property
    def approvals(self) -> Approvals:
        from workflow_runtime.services.intake.approvals import Approvals

        return Approvals(self.ports, self.stores, self.mailer, self._new_id)

    @cached_property
    def approval_views(self) -> ApprovalViews:
        from workflow_runtime.services.views.approvals import ApprovalViews

        return ApprovalViews(self.ports, self.stores)

    @cached_property
    def sessions(self) -> SessionViews:
        from workflow_runtime.services.sessions import SessionViews

        return SessionViews(self.ports, self.stores)

    @cached_property
    def control(self) -> Control:
        from workflow_runtime.services.control.requests import Control

        recorded = self.viewed_stores.executions
        return Control(self.ports, self.stores, self.mailer, self._new_id, recorded, lambda: self.starter)

    @cached_property
    def bulk(self) -> Bulk:
        from workflow_runtime.services.control.bulk import Bulk

        return Bulk(self.ports.clock, self.catalog, self.documents, self.control, self._new_id)

    @cached_property
    def timers(self) -> Timers:
        from workflow_runtime.services.timers import Timers

        return Timers(self.ports, self.mailer)

    @cached_property
    def sweep(self) -> Sweep:
        from workflow_runtime.services.upkeep.sweep import Sweep

        return Sweep(self.ports, self.stores, self.mailer, self.timers, self._served, self.lines)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        from workflow_runtime.services.upkeep.dead_letters import DeadLetters

        return DeadLetters(self.ports, self.stores, self.mailer)

    @cached_property
    def outbox(self) -> Outbox:
        from workflow_runtime.services.work.outbox import Outbox

        return Outbox(self.ports, self.stores, self.dead_letters)

    @cached_property
    def redrive(self) -> Redrive:
        from workflow_runtime.services.upkeep.redrive import Redrive

        return Redrive(self.ports, self.stores, self.timers, self.ingest)

    @cached_property
    def invokers(self) -> Mapping[NodeType, Invoker]:
        return self._invokers()

    def end_process_if_stuck(self) -> None:
        """End the process if a blocking tool outlived its timeout; its result is recorded, and a thread cannot be
        stopped.
        """
        if any(invoker.abandoned for invoker in self.invokers.values()):
            self._end_process()

    def node_runner(self, function_timeout_seconds: int) -> NodeRunner:
        """A runner for a function with this timeout."""
        from workflow_runtime.services.work.runner import NodeRunner

        return NodeRunner(
            self.ports,
            self.stores,
            self.invokers,
            self._secrets,
            self.looks,
            self._new_id,
            function_timeout_seconds,
            self.count,
            self.admission,
            self.gates,
            self._attempt_ended,
            self.outbox,
        )
