"""The dispatcher: load, advance, commit, publish, acknowledge. The only writer of execution state.

Why nothing is lost and nothing happens twice:

- One conditional put commits state, journal entry and orders together, version v to v+1. The loser of a race starts
  over and publishes nothing; a lost response is told from a lost race by the commit id.
- The journal entry of v in the table means: all that commit v ordered was sent. While it is missing, the next
  dispatcher, whatever brought it here, publishes the commit again before it advances anything. Orders sent twice are
  told by their run.
- A state that this process committed and published is not read again (`warm`): the condition of the next commit proves
  that nobody came between.
- Messages are only pokes with news; an execution without a state starts from its header, whatever the message was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.log_fields import add_log_fields, log_fields
from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.engine import applied, holding
from workflow_runtime.engine.advance import NOTHING_KNOWN, Decision, abort, advance, new_execution
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.commands import Command, RunNode, SetStatus
from workflow_runtime.engine.events import (
    CancelRequested,
    Event,
    EventReturned,
    ExecutionStarted,
    Poked,
)
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.turn import Known, Needs
from workflow_runtime.errors import ConflictError, ErrorDocument, InvalidEvent, RetryableError
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Ports
from workflow_runtime.services.dispatch.effects import Publisher
from workflow_runtime.services.dispatch.failures import log_failures
from workflow_runtime.services.dispatch.outbound import Courier
from workflow_runtime.services.dispatch.pacing import TimeBudget
from workflow_runtime.services.dispatch.reads import Knowledge
from workflow_runtime.services.dispatch.starting import start_of, with_start
from workflow_runtime.services.dispatch.storing import LargeValues, without_values
from workflow_runtime.services.dispatch.warm import WarmStates
from workflow_runtime.services.express import GIVEN_UP, LOST
from workflow_runtime.services.limits.starts import StartAdmission
from workflow_runtime.services.messages import Mail, mail_body
from workflow_runtime.storage.due import rearmed
from workflow_runtime.storage.executions import StateTooLarge
from workflow_runtime.storage.records import Tags
from workflow_runtime.storage.stores import Stores

SUSPECT_RECEIVES = 3  # from this receive on, events are taken one by one; one that the engine cannot take is refused
COMMIT_ATTEMPTS_MAX = 5  # races with other dispatchers of one execution; FIFO groups make them rare
LAG_MS = 30_000  # that an event has waited: some 6,000 are behind it, and 20,000 of one group would hide all others
LAGGING_MS = 10_000  # how long that is believed after each batch

logger = logging.getLogger(__name__)


class Delivery(msgspec.Struct, frozen=True):
    """An event as a queue delivered it, for the ``receives``-th time. ``sent_at``: when it was sent (epoch ms)."""

    event: Event
    receives: int = 1
    sent_at: int | None = None


class Dispatcher:
    """``courier`` and ``publisher`` carry out what is decided; ``starts`` holds back those that may not begin yet.
    ``new_id`` gives a fresh identity per commit; ``count`` takes metrics; ``budget``: what is left of the invocation.
    """

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        courier: Courier,
        publisher: Publisher,
        starts: StartAdmission,
        new_id: Callable[[], str],
        count: Callable[[str, int], None],
        budget: TimeBudget,
    ) -> None:
        self.budget = budget
        self._clock = ports.clock
        self._stores = stores
        self._starts = starts
        self._large = LargeValues(stores.executions, ports.together, budget)
        self._warm = WarmStates(ports.clock.now)
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._dead_letters = stores.dead_letters
        self._knowledge = Knowledge(ports.table, stores)
        self._together = ports.together
        self._courier = courier
        self._publisher = publisher
        self._new_id = new_id
        self._count = count

    def dispatch(self, execution_id: str, deliveries: Sequence[Delivery]) -> int:
        """Take one execution's events in order. Returns how many were taken; the rest must be delivered again."""
        with log_fields(execution_id=execution_id):
            return self._dispatch(execution_id, deliveries)

    def _dispatch(self, execution_id: str, deliveries: Sequence[Delivery]) -> int:
        suspect = any(delivery.receives >= SUSPECT_RECEIVES for delivery in deliveries)
        size = 1 if suspect else max(len(deliveries), 1)
        for start in range(0, len(deliveries), size):
            batch = deliveries[start : start + size]
            try:
                self._take(execution_id, batch)
            except Exception as error:
                unexpected = not isinstance(error, (RetryableError, ConflictError))
                fields = {"execution_id": execution_id, "reason": str(error)}
                logger.warning("dispatch is tried again later", exc_info=unexpected, extra=fields)
                return start
            self._tell_of_lag(execution_id, batch)
        return len(deliveries)

    def _tell_of_lag(self, execution_id: str, batch: Sequence[Delivery]) -> None:
        """An execution that is sent more than it can take is noted, so that the API takes no more for it."""
        now = self._clock.now()
        outside = [each.sent_at for each in batch if each.sent_at is not None and applied.is_remembered(each.event)]
        if outside and now - min(outside) > LAG_MS:
            with suppress(RetryableError):  # the next batch tells of it, too
                self._executions.note_lag(execution_id, now + LAGGING_MS)

    def record_dead_letter(self, execution_id: str, identity: str, reason: str, body: str, sent: str = "") -> None:
        """Keep a message that is not an event as a dead letter of the execution."""
        logger.error("an event was refused", extra={"execution_id": execution_id, "reason": reason})
        self._dead_letters.put(execution_id, identity, reason, body, self._clock.now(), sent)
        self._count(Metric.DEAD_LETTERS, 1)

    def _keep_refused(self, execution_id: str, event: Event, reason: str) -> None:
        """As it came, so that it can be brought back."""
        self.record_dead_letter(execution_id, event.event_id, reason, mail_body(Mail(execution_id, event)))

    def _take(self, execution_id: str, batch: Sequence[Delivery]) -> None:
        for _ in range(COMMIT_ATTEMPTS_MAX):
            if self._try_take(execution_id, batch):
                return
        raise ConflictError(f"lost {COMMIT_ATTEMPTS_MAX} commits in a row to other dispatchers")

    def _try_take(self, execution_id: str, batch: Sequence[Delivery]) -> bool:
        """One round of load, advance, commit, publish. False when another dispatcher committed in between."""
        self.budget.check()
        events: list[Event] = [delivery.event for delivery in batch]
        warm = self._warm.take(execution_id)
        if warm is not None:
            return self._take_on_warm(*warm, events)
        stored = self._executions.load(execution_id)
        if stored is not None:
            state = stored.state
            tags = stored.tags
            self._warm.compare(execution_id, state.version)
            add_log_fields(correlation_id=tags.correlation_id)
            plan = self._plan(state.plan_hash)
            state = current(plan, state)
            if not stored.published:
                self._publisher.publish(plan, state, stored.last, tags, again=True)
                self.budget.check()
            if state.status.terminal:
                if self._starts.holds_reopening(plan, state, events):
                    return True
                self._starts.give_back_late(plan, state, events)
        else:
            header = self._executions.header(execution_id)
            if header is None:
                for event in events:
                    self._keep_refused(execution_id, event, "there is no such execution")
                return True
            if header.express and header.status.terminal:  # recorded: it takes nothing any more
                return True
            tags = Tags(header.correlation_id, header.started_at)
            add_log_fields(correlation_id=tags.correlation_id)
            plan = self._plan(header.plan_hash)
            if self._starts.holds_start(plan, header, events):
                return True
            version, started_at = header.workflow_version, header.started_at
            state = new_execution(
                plan, execution_id, version, started_at, header.parent, header.hops, header.tenant, header.shares
            )
            if header.express:
                return self._run_express(plan, state, events, tags)
            events = with_start(events, start_of(plan, self._clock.now()))
        events = self._knowledge.heard(state, events)
        returned = self._knowledge.heard(state, self._returned(state))
        try:
            taken, decision = self._decide(plan, state, [*returned, *events])
        except Exception as error:
            if returned:  # those first, so that it becomes clear which one it was
                return self._take_returned(plan, state, returned, tags) and self._try_take(execution_id, batch)
            return self._reject(plan, state, batch, error, tags)
        if not decision.changed:
            return True
        return self._commit(plan, state, decision, taken, tags)

    def _take_on_warm(self, state: ExecutionState, tags: Tags, events: list[Event]) -> bool:
        """The same on a state that this process committed, which need not be the newest (`warm`). False unless a commit
        has shown that it was."""
        add_log_fields(correlation_id=tags.correlation_id)
        try:
            plan = self._plan(state.plan_hash)
            events = [*self._knowledge.heard(state, self._returned(state)), *self._knowledge.heard(state, events)]
            taken, decision = self._decide(plan, state, events)
        except Exception:  # what is wrong, if anything is, shows when it is tried on what is stored
            return False
        if not decision.changed:
            return False
        committed = self._commit(plan, state, decision, taken, tags)
        self._warm.note(was_newest=committed)
        return committed

    def _run_express(self, plan: Plan, state: ExecutionState, events: Sequence[Event], tags: Tags) -> bool:
        """Have an express execution run that may begin; what comes for it meanwhile comes to nothing. It ends here if
        somebody cancels it before, or if it was given up."""
        if any(event.event_id.startswith(GIVEN_UP) for event in events):
            is_closed = self._executions.close_express(state.execution_id, begun=True)
            return not is_closed or self._abort(plan, state, LOST, tags)
        requests: list[Event] = [event for event in events if isinstance(event, CancelRequested)]
        if requests and self._executions.close_express(state.execution_id):
            start = with_start(requests, ExecutionStarted("start", state.started_at))
            taken, decision = self._decide(plan, state, start)
            return self._commit(plan, state, decision, taken, tags)
        if any(isinstance(event, Poked) for event in events):
            self._courier.run_express(state.execution_id)
        return True

    def _returned(self, state: ExecutionState) -> list[EventReturned]:
        """The next events that were held and may be taken now."""
        if not holding.returns(state):
            return []
        end = min(state.held_first + holding.RETURNED_TURN_MAX, state.held_next)
        return self._stores.held.get(state.execution_id, range(state.held_first, end))

    def _take_returned(self, plan: Plan, state: ExecutionState, returned: Sequence[EventReturned], tags: Tags) -> bool:
        """Take these alone or, if that cannot be, the first of them; one that cannot be taken at all is refused."""
        try:
            taken, decision = self._decide(plan, state, returned)
        except (RetryableError, ConflictError):
            raise
        except Exception:
            taken, decision = self._take_first(plan, state, returned[0])
        return self._commit(plan, state, decision, taken, tags)

    def _take_first(self, plan: Plan, state: ExecutionState, event: EventReturned) -> tuple[Sequence[Event], Decision]:
        try:
            return self._decide(plan, state, [event])
        except (RetryableError, ConflictError):
            raise
        except Exception as error:
            logger.exception("a held event is refused", extra={"execution_id": state.execution_id})
            self._keep_refused(state.execution_id, event.held, f"{error}")
            refused = replace(event, refused=f"refused: {error}")
            return self._decide(plan, state, [refused])

    def _plan(self, plan_hash: str) -> Plan:
        try:
            return self._workflows.plan(plan_hash)
        except KeyError as error:
            raise RetryableError(str(error)) from error

    def _decide(self, plan: Plan, state: ExecutionState, events: Sequence[Event]) -> tuple[Sequence[Event], Decision]:
        """Advance, reading what the engine needs to know, until it decides: the events it took, and the decision."""
        now = self._clock.now()
        known = self._applied(state, events)
        while isinstance(answer := advance(plan, state, events, now, known), Needs):
            known = self._knowledge.fetch(plan, state.execution_id, answer, known)
            if answer.segments:
                events = [*self._unreported(plan, state.execution_id, answer.segments), *events]
        return events, answer

    def _unreported(self, plan: Plan, execution_id: str, heads: Sequence[tuple[str, int]]) -> Sequence[Event]:
        from workflow_runtime.services.dispatch.unreported import successes  # few executions are cut short

        return successes(self._stores.runs, self._together, plan, execution_id, heads)

    def _applied(self, state: ExecutionState, events: Sequence[Event]) -> Known:
        """Which of these events from outside were taken before."""
        ids = [applied.identity(event.event_id) for event in events if applied.is_remembered(event)]
        if not ids or not state.version:
            return NOTHING_KNOWN
        return Known(applied=self._stores.applied.of(state.execution_id, ids, self._clock.now()))

    def _reject(
        self, plan: Plan, state: ExecutionState, batch: Sequence[Delivery], error: Exception, tags: Tags
    ) -> bool:
        """The engine raised. Find out which event it was, and refuse that one for good if it is sure to raise again."""
        if isinstance(error, (RetryableError, ConflictError)):
            raise error
        if len(batch) > 1:
            for delivery in batch:
                self._take(state.execution_id, [delivery])
            return True
        delivery = batch[0]
        if not isinstance(error, InvalidEvent) and delivery.receives < SUSPECT_RECEIVES:
            logger.exception("the engine failed", exc_info=error, extra={"execution_id": state.execution_id})
            raise RetryableError(f"the engine failed on {delivery.event.event_id}: {error!r}") from error
        if state.version > 0:
            return self._refuse(plan, state, [delivery.event], f"{error}", tags)
        self._keep_refused(state.execution_id, delivery.event, f"{error}")
        return self._start_alone(plan, state, tags)

    def _refuse(self, plan: Plan, state: ExecutionState, events: Sequence[Event], reason: str, tags: Tags) -> bool:
        """Have the history say of events that they cannot be taken; nothing else changes."""
        for event in events:
            self._keep_refused(state.execution_id, event, reason)
        after = replace(state.copy(), version=state.version + 1)
        refused = tuple((event.event_id, reason) for event in events)
        return self._commit(plan, state, Decision(after, ()), [], tags, refused=refused)

    def _start_alone(self, plan: Plan, state: ExecutionState, tags: Tags) -> bool:
        """Start without the event that was refused; an execution that cannot even start fails, visibly."""
        start = start_of(plan, self._clock.now())
        try:
            taken, decision = self._decide(plan, state, [start])
            return self._commit(plan, state, decision, taken, tags)
        except (RetryableError, ConflictError):
            raise
        except Exception as error:
            document = ErrorDocument.of("execution_error", f"the execution could not start: {error}")
            return self._abort(plan, state, document, tags)

    def abort(self, execution_id: str, error: ErrorDocument) -> bool:
        """Fail an execution as it stands, whatever its plan says. False if it has ended, or has moved on meanwhile."""
        stored = self._executions.load(execution_id)
        if stored is None or stored.state.status.terminal:
            return False
        plan = self._plan(stored.state.plan_hash)
        if not stored.published:
            self._publisher.publish(plan, stored.state, stored.last, stored.tags, again=True)
        return self._abort(plan, stored.state, error, stored.tags)

    def _abort(self, plan: Plan, state: ExecutionState, error: ErrorDocument, tags: Tags) -> bool:
        """Fail the execution from its last committed ``state``, whatever its plan says."""
        return self._commit(plan, state, abort(plan, state, error), [], tags, aborted=error)

    def _commit(
        self,
        plan: Plan,
        before: ExecutionState,
        decision: Decision,
        events: Sequence[Event],
        tags: Tags,
        *,
        refused: tuple[tuple[str, str], ...] = (),
        aborted: ErrorDocument | None = None,
    ) -> bool:
        """Commit and publish. False when another dispatcher committed first: then nothing was published."""
        state = decision.state
        commit_id = self._new_id()
        entry = JournalEntry(
            state.version,
            commit_id,
            state.now,
            tuple(map(without_values, events)),
            self._large.commands(state, commit_id, decision.commands),
            decision.ignored,
            refused,
            aborted,
            decision.macrosteps,
            decision.applied,
        )
        tags = replace(tags, due_since=self._look_after(state, decision.commands, tags.due_since))
        self._courier.subscribe(plan, state.execution_id, decision.commands)
        try:
            committed = self._executions.commit(state, entry, tags)
        except StateTooLarge as error:
            if aborted is not None:
                raise RetryableError(f"not even the end of the execution can be stored: {error}") from error
            if before.status.terminal and not refused:  # somebody wants it to go on; it stays as it has ended
                return self._refuse(plan, before, events, f"the state would be too large: {error}", tags)
            return self._abort(plan, before, ErrorDocument.of("state_too_large", str(error)), tags)
        if committed:
            self._count(Metric.COMMITS, 1)
            log_failures(plan, state.execution_id, decision.macrosteps)
            self._publisher.publish(plan, state, entry, tags)
            self._warm.keep(state, self._executions.stored_form(state), tags)
        return committed

    def _look_after(self, state: ExecutionState, commands: Sequence[Command], since: int) -> int:
        """Since when the regular times of the sweep count from this commit on. Runs that it orders may get lost, which
        is found soon only if that is arranged before.
        """
        reopened = [command.at for command in commands if isinstance(command, SetStatus) and command.reopened]
        if reopened:
            return reopened[-1]  # as it is put together with the status
        if any(isinstance(command, RunNode) for command in commands):
            due = rearmed(state.execution_id, since, state.now)
            if due is not None:
                self._stores.due.put(due)
                return due.since
        return since
