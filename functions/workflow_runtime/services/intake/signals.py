"""Sending an event to one execution, and finding out what it did there.

An event is mailed to the execution's mailbox like any other news, under an id made of the caller's key: who sends it
again changes nothing. What it did stands in the journal.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from workflow_runtime.deployment.topology import LIFECYCLE_SOURCE
from workflow_runtime.engine.codec import current
from workflow_runtime.engine.commands import HoldEvent
from workflow_runtime.engine.events import SignalReceived
from workflow_runtime.engine.holding import HELD_MAX
from workflow_runtime.engine.journal import JournalEntry
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.macrosteps import Macrostep
from workflow_runtime.engine.scope_states import ChartState
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.events import is_runtime_event
from workflow_runtime.plan.plan import Plan
from workflow_runtime.ports import Bus, BusEvent, Ports
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.views.charts import chart_parts, transition_json
from workflow_runtime.storage.payloads import is_large, pack_bytes
from workflow_runtime.storage.records import Globals
from workflow_runtime.storage.stores import Stores

NAME_CHARS_MAX = 128  # as long as an EventBridge detail-type
KEY_CHARS_MAX = 255
REPEATS_LOOKED_AT_MAX = 200  # commits in which an event that was sent before is looked for
PAGE_ENTRIES = 25


class Sent(msgspec.Struct, frozen=True):
    """An event on its way. ``after``: a version of the execution from before it was sent."""

    execution_id: str
    event: str
    id: str
    after: int

    @property
    def event_id(self) -> str:
        return f"signal:{self.id}"


class Signalling:
    """``new_id`` gives a fresh identity per call."""

    def __init__(self, ports: Ports, stores: Stores, mailer: Mailer, new_id: Callable[[], str]) -> None:
        self._ports = ports
        self._workflows = stores.workflows
        self._executions = stores.executions
        self._requests = stores.requests
        self._mailer = mailer
        self._new_id = new_id

    def send(
        self,
        execution_id: str,
        name: str,
        data: Json = None,
        key: str | None = None,
        *,
        source: str = "api",
        watched: bool = False,
    ) -> Sent:
        """Mail the event to the execution; with a ``key`` seen before, it takes no effect again. ``watched``: somebody
        will ask for its `result`.

        Raises `RequestError`: ``not_found``, ``ended``, ``invalid_event``, ``conflict`` (the key was used for an event
        with another name or other data), ``too_many`` (it is suspended and holds no more events, or
        gets more than it can take); `RetryableError`.
        """
        encoded, name = _encoded(data), normalized(name)
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        check_event(self._plan(header.plan_hash), name, data)
        if key is not None and not 0 < len(key) <= KEY_CHARS_MAX:
            raise RequestError("invalid_event", f"a key has 1 to {KEY_CHARS_MAX} characters")
        stored = self._executions.load(execution_id) if watched else None
        after = stored.state.version if stored is not None else header.state_version
        sent = Sent(execution_id, name, key or self._new_id(), after)
        if key is not None and not self._requests.claim_event_key(execution_id, key, _use_of(name, data)):
            raise RequestError("conflict", "the key was used for another event")
        if header.status.terminal:
            if key is not None and (first := self._first_entry(sent)) is not None:
                return replace(sent, after=first.version - 1)  # it was taken before the end
            raise RequestError("ended", f"the execution has ended, it is {header.status}: it takes no more events")
        if header.status is ExecutionStatus.SUSPENDED:
            self._check_room(execution_id)
        if header.lags_until > self._ports.clock.now():
            raise RequestError("too_many", "the execution is sent more events than it can take; try again in a moment")
        packed = pack_bytes(encoded)
        blob = None
        if is_large(encoded, packed):
            blob = f"executions/{execution_id}/events/{hashlib.sha256(packed).hexdigest()[:40]}"
            self._ports.blobs.put(blob, packed)
        value = msgspec.json.decode(encoded) if blob is None else None
        now = self._ports.clock.now()
        signal = SignalReceived(sent.event_id, now, name, data=value, blob=blob, id=sent.id, source=source)
        self._mailer.send(execution_id, signal)
        return sent

    def _check_room(self, execution_id: str) -> None:
        """Raises `RequestError` (``too_many``) when a suspended execution holds no more events."""
        stored = self._executions.load(execution_id)
        if stored is not None and stored.state.held >= HELD_MAX:
            message = f"the execution is suspended and holds {HELD_MAX:,} events already; resume it first"
            raise RequestError("too_many", message)

    def result(self, sent: Sent) -> dict[str, Json] | None:
        """What the event did; None: it has not been taken yet. See `_outcome`."""
        entry = self._entry(sent)
        stored = self._executions.load(sent.execution_id) if entry is not None else None
        if entry is None or stored is None:
            return None
        plan = self._plan(stored.state.plan_hash)

        def globals() -> Globals:
            return self._executions.globals(sent.execution_id, stored.state.replaced)

        parts = chart_parts(self._executions, plan, stored, self._ports.clock.now(), globals)
        step = _step_of(entry, sent)
        outcome, reason = _outcome(plan, stored.state, sent, entry, step)
        return {
            **accepted_json(sent),
            "outcome": outcome,
            "reason": reason or None,
            "transition": transition_json(entry.version, step) if step is not None else None,
            "status": stored.state.status.value,
            "variables": parts.variables,
            **{name: value for name, value in parts.json().items() if name != "transitions"},
        }

    def _entry(self, sent: Sent) -> JournalEntry | None:
        """The commit that took the event: this time or, if it was sent under its key before, the first time."""
        after = sent.after
        while True:
            page = self._executions.entries(sent.execution_id, range(after + 1, after + 1 + PAGE_ENTRIES))
            found = _taking(page, sent)
            if found is not None or len(page) < PAGE_ENTRIES:
                break
            after += len(page)
        if found is None or not _refusal(sent, found):
            return found
        return self._first_entry(sent) or found

    def _first_entry(self, sent: Sent) -> JournalEntry | None:
        newest = self._executions.newest_entries(sent.execution_id, REPEATS_LOOKED_AT_MAX)
        return _taking(newest[::-1], sent)

    def _plan(self, plan_hash: str) -> Plan:
        try:
            return self._workflows.plan(plan_hash)
        except KeyError as error:
            raise RetryableError(str(error)) from error


def publish_event(bus: Bus, source: str, detail_type: str, detail: Json) -> None:
    """Put an event of the outside on the runtime's bus. Raises `RequestError` (``invalid_event``)."""
    if not isinstance(detail, dict):
        raise RequestError("invalid_event", "the detail of an event is a JSON object")
    if source == LIFECYCLE_SOURCE:
        raise RequestError("invalid_event", f"the source {source!r} is the runtime's own")
    for refusal in bus.publish([BusEvent(source, detail_type, _encoded(detail).decode())]):
        raise RequestError("invalid_event", f"the bus does not take the event: {refusal.reason}")


def accepted_json(sent: Sent) -> dict[str, Json]:
    return {"execution_id": sent.execution_id, "event": sent.event, "id": sent.id}


def _encoded(data: Json) -> bytes:
    """Raises `RequestError` (``invalid_event``) for data that is not JSON, or too much of it."""
    try:
        encoded = msgspec.json.encode(to_json(data, "data"))
    except NotJson as error:
        raise RequestError("invalid_event", str(error)) from None
    if len(encoded) > INPUT_BYTES_MAX:
        raise RequestError("invalid_event", f"the event's data has {len(encoded)} bytes; at most {INPUT_BYTES_MAX}")
    return encoded


def _use_of(name: str, data: Json) -> str:
    """What a key was used for: the same event, and no other, may come under it again."""
    return hashlib.sha256(msgspec.json.encode([name, data], order="deterministic")).hexdigest()[:32]


def check_event(plan: Plan, name: str, data: Json) -> None:
    """Raises `RequestError` (``invalid_event``) for an event that this workflow never listens to, or whose data does
    not match the schema that it has for it."""
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable() or "*" in name or name != name.strip():
        message = f"an event has a name of 1 to {NAME_CHARS_MAX} printable characters, without `*`; not {name[:200]!r}"
        raise RequestError("invalid_event", message)
    if is_runtime_event(name):
        raise RequestError("invalid_event", f"{name!r} is an event that the runtime raises itself")
    if plan.declares(name):
        problem = plan.event_problem(name, data)
        if problem is not None:
            raise RequestError("invalid_event", problem)
        return
    declared = sorted(event for event in plan.declared_events if not is_runtime_event(event))
    if not declared:
        raise RequestError("invalid_event", f"workflow {plan.workflow_id!r} listens to no events")
    near = difflib.get_close_matches(name, declared, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    message = f"workflow {plan.workflow_id!r} does not listen to {name!r}; {hint}it listens to: {', '.join(declared)}"
    raise RequestError("invalid_event", message)


def _taking(entries: Sequence[JournalEntry], sent: Sent) -> JournalEntry | None:
    return next((entry for entry in entries if any(event.event_id == sent.event_id for event in entry.events)), None)


def _refusal(sent: Sent, entry: JournalEntry) -> str:
    """Why the event had no effect in a commit; "" if it had. Its repeats may be in the same commit."""
    reasons = [reason for id, reason in entry.ignored if id == sent.event_id]
    times = sum(event.event_id == sent.event_id for event in entry.events)
    return reasons[0] if len(reasons) == times else ""


def _step_of(entry: JournalEntry, sent: Sent) -> Macrostep | None:
    """The macrostep of our event: of several events of this name in one commit, each that was offered to a chart has
    one, in order."""
    signals = [event for event in entry.events if isinstance(event, SignalReceived) and event.name == sent.event]
    offered = list(dict.fromkeys(signal.event_id for signal in signals))
    if sent.event_id not in offered:
        return None  # the commit took another event under this id, which came over the bus, say
    place = offered.index(sent.event_id)
    steps = [step for step in entry.macrosteps if step.event == sent.event]
    return steps[place] if place < len(steps) else None


def _outcome(
    plan: Plan, state: ExecutionState, sent: Sent, entry: JournalEntry, step: Macrostep | None
) -> tuple[str, str]:
    """``taken`` (by a transition or a wait), ``ignored``, ``deferred`` (offered again when the configuration is
    another), ``kept`` (for a wait that has not begun), ``held`` (the execution is suspended), ``failed`` (the chart
    fails for it); and why."""
    reason = _refusal(sent, entry)
    if reason:
        return "ignored", reason
    if any(isinstance(command, HoldEvent) and command.event_id == sent.event_id for command in entry.commands):
        return "held", "the execution is suspended; the event is taken when it is resumed"
    if step is not None and step.reason:
        deferred = any(sent.event_id == signal.event_id for signal in _deferred(plan, state))
        failed = not deferred and state.status is ExecutionStatus.FAILED
        return ("failed" if failed else "deferred"), step.reason
    if step is None and any(sent.event_id == signal.event_id for signal in state.kept):
        return "kept", "nothing waits for it yet"
    return "taken", ""


def _deferred(plan: Plan, state: ExecutionState) -> Iterator[SignalReceived]:
    for _, scope in current(plan, state).all_scopes():
        if isinstance(scope, ChartState):
            yield from scope.deferred
