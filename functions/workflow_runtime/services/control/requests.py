"""Requests about an execution as a whole: checked against its status, then mailed to its mailbox like any other news.

The status that is read here may be older than the request's turn, so the engine has the last word: a request that comes
too late is ignored there, and the history says so. For the same reason a request that finds the execution as it should
be is mailed all the same, as long as another that is on its way could change that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from workflow_runtime.engine.lifecycle import EXECUTION_ROWS, ExecutionRow, ExecutionStatus
from workflow_runtime.errors import RequestError, storable_text
from workflow_runtime.language.json_values import Json, NotJson, to_json
from workflow_runtime.language.look_alikes import normalized, with_normalized_keys
from workflow_runtime.ports import Ports
from workflow_runtime.services.control.operations import OPERATIONS, Operation, Situation
from workflow_runtime.services.intake.starts import Starter
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.executions import ExecutionStore
from workflow_runtime.storage.payloads import is_large, pack_bytes
from workflow_runtime.storage.records import Header
from workflow_runtime.storage.requests import KeptAnswer
from workflow_runtime.storage.stores import Stores

REASON_CHARS_MAX = 1_000
KEY_CHARS_MAX = 255
VALUE_BYTES_MAX = 10 * 1024 * 1024  # of variables, or an output: as of an execution's input
NOTHING: Mapping[str, Json] = {}
KEPT_MS = 24 * 3600 * 1000  # how long a key gives the same answer


class Asked(msgspec.Struct, frozen=True):
    """A request that was answered. ``changed`` False: the execution was as the request wants it already. ``attempt``:
    which of the execution's it is from then on."""

    execution_id: str
    operation: str
    id: str
    changed: bool
    attempt: int = 1

    def json(self) -> dict[str, Json]:
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


class Control:
    """``new_id`` gives a fresh identity per call. ``recorded`` sees what express executions have recorded; ``starter``
    is called when the first of them is begun anew."""

    def __init__(
        self,
        ports: Ports,
        stores: Stores,
        mailer: Mailer,
        new_id: Callable[[], str],
        recorded: ExecutionStore,
        starter: Callable[[], Starter],
    ) -> None:
        self._recorded = recorded
        self._starter = starter
        self._clock = ports.clock
        self._blobs = ports.blobs
        self._executions = stores.executions
        self._retention = stores.retention
        self._requests = stores.requests
        self._workflows = stores.workflows
        self._mailer = mailer
        self._new_id = new_id

    def ask(
        self,
        operation: str,
        execution_id: str,
        reason: str = "",
        key: str | None = None,
        *,
        by: str = "",
        said: Mapping[str, Json] = NOTHING,
    ) -> Asked:
        """Ask for one of `OPERATIONS`. ``by``: the caller, for the history; ``key``: the same for repeats, which get
        the first answer for 24 hours; ``said``: what the operation takes beside the reason, named as in the API.

        Raises `RequestError`: ``not_found``, ``ended`` and ``refused`` (its status, or what it is doing, does not allow
        it), ``conflict`` (the key was used for another request), ``invalid_request``; `RetryableError`.
        """
        asked_for = OPERATIONS[operation]
        reason, key = _checked(reason, key)
        fields = _fields(asked_for, said)
        header = self._executions.header(execution_id)
        if header is None:
            raise RequestError("not_found", f"there is no execution {execution_id!r}")
        if header.express:
            _check_express(asked_for, header, fields)
            if operation == "retry":
                return self._begin_anew(header, key)
        row = EXECUTION_ROWS.get((header.status, asked_for.event), _NO_ROW)
        use = _use_of(operation, fields)
        kept = self._requests.kept_answer(execution_id, key, self._clock.now()) if key is not None else None
        if kept is None:
            _check_allowed(asked_for, header.status, row)
            if header.status.terminal and row.status is not None and not self._retention.may_reopen(header.ended_at):
                raise RequestError("refused", f"the execution ended {_TOO_LONG_AGO}")
            self._check_possible(asked_for, header, fields)
            is_reopened = header.status.terminal and row.status is not None
            until, attempt = self._clock.now() + KEPT_MS, header.attempt + is_reopened
            kept = KeptAnswer(use, row.status is not None, until, attempt)
            if key is not None:
                kept = self._requests.keep_answer(execution_id, key, kept, self._clock.now())
        if kept.operation != use:
            raise RequestError("conflict", f"the key was used for another request: {kept.operation.partition('#')[0]}")
        asked = Asked(execution_id, operation, key or self._new_id(), kept.changed, kept.attempt)
        if row.status is not None or (row.unchanged and not header.status.terminal):
            # also when repeated: the first may have died in between
            fields = self._stored(asked_for, execution_id, fields)
            event = asked_for.event(f"control:{asked.id}", self._clock.now(), by, reason, **fields)
            self._mailer.send(execution_id, event)
        return asked

    def _begin_anew(self, header: Header, key: str | None) -> Asked:
        """Another execution, with the same input on the same version. Raises `RequestError`, `RetryableError`."""
        asked = key or self._new_id()
        input = self._recorded.globals(header.execution_id).input
        started = self._starter().start(
            header.workflow_id,
            input,
            version=header.workflow_version or None,
            start_key=f"again:{header.execution_id}:{asked}",
            correlation_id=header.correlation_id,
        )
        return Asked(started, "retry", asked, True)

    def _check_possible(self, operation: Operation, header: Header, fields: Mapping[str, Json]) -> None:
        """Raises `RequestError` (``refused``)."""
        stored = self._executions.load(header.execution_id) if operation.check is not None else None
        if operation.check is None or stored is None:
            return
        plan = self._workflows.plan(header.plan_hash)
        problem = operation.check(Situation(plan, header.status, stored.state), fields)
        if problem:
            raise RequestError("refused", problem)

    def _stored(self, operation: Operation, execution_id: str, fields: dict[str, Json]) -> dict[str, Json]:
        """The fields with a value that is too large for a message put apart."""
        if operation.value not in fields:
            return fields
        data = msgspec.json.encode(fields[operation.value])
        packed = pack_bytes(data)
        if not is_large(data, packed):
            return fields
        blob = f"executions/{execution_id}/requests/{hashlib.sha256(packed).hexdigest()[:40]}"
        self._blobs.put(blob, packed)
        return {**{name: value for name, value in fields.items() if name != operation.value}, "blob": blob}


_NO_ROW = ExecutionRow()
_TOO_LONG_AGO = "so long ago that what it would go on from expires; start another one"


def _check_express(operation: Operation, header: Header, fields: Mapping[str, Json]) -> None:
    """Raises `RequestError` (``refused``) for what cannot be asked of an express execution."""
    if operation.name == "cancel" and header.status is ExecutionStatus.PENDING:
        if not header.begun:
            return
        message = "an invocation runs the express execution, so it cannot be cancelled any more"
        raise RequestError("refused", f"{message}: what it has done shows when it has ended, in about a minute at most")
    if operation.name == "retry" and header.status in (ExecutionStatus.FAILED, ExecutionStatus.CANCELLED):
        if fields:
            message = "an express execution is begun anew, with the same input: `retry` takes nothing but a reason"
            raise RequestError("refused", message)
        return
    message = f"an express execution runs in one invocation: it cannot be {operation.passive}"
    hint = (
        "; `retry` starts it anew when it has failed" if operation.name != "retry" else f" while it is {header.status}"
    )
    raise RequestError("refused", message + hint)


def _fields(operation: Operation, said: Mapping[str, Json]) -> dict[str, Json]:
    """What was said, by the fields of the event. Raises `RequestError` (``invalid_request``) for values that are not
    JSON."""
    fields = {operation.names.get(name, name): value for name, value in said.items()}
    if isinstance(node := fields.get("node"), str):
        fields["node"] = normalized(node)
    if isinstance(variables := fields.get("variables"), dict):
        fields["variables"] = with_normalized_keys(variables)
    unknown = [name for name in fields if name not in operation.fields or name == "blob"]
    if unknown:
        raise RequestError("invalid_request", f"`{operation.name}` takes no {unknown[0]!r}")
    try:
        value = msgspec.json.encode({name: to_json(value, name) for name, value in fields.items()})
    except NotJson as error:
        raise RequestError("invalid_request", str(error)) from None
    if len(value) > VALUE_BYTES_MAX:
        message = f"the request has {len(value):,} bytes; at most {VALUE_BYTES_MAX:,} are taken"
        raise RequestError("invalid_request", message)
    return fields


def _check_allowed(operation: Operation, status: ExecutionStatus, row: ExecutionRow) -> None:
    """Raises `RequestError` (``ended``, ``refused``)."""
    if row.status is not None or row.unchanged:
        return
    if status.terminal:
        message = f"the execution has ended, it is {status}: it cannot be {operation.passive}"
        raise RequestError("ended", message)
    why = f": {row.reason}" if row.reason else ""
    raise RequestError("refused", f"an execution that is {status} cannot be {operation.passive}{why}")


def _use_of(operation: str, fields: dict[str, Json]) -> str:
    """What a key is used for: the same request, and no other, may come under it again."""
    said = {name: value for name, value in fields.items() if value is not None}
    if not said:
        return operation
    return f"{operation}#{hashlib.sha256(msgspec.json.encode(said, order='deterministic')).hexdigest()[:32]}"


def _checked(reason: str, key: str | None) -> tuple[str, str | None]:
    """Raises `RequestError` (``invalid_request``)."""
    reason = checked_reason(reason)
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= KEY_CHARS_MAX):
        raise RequestError("invalid_request", f"a key has 1 to {KEY_CHARS_MAX} characters")
    return reason, key


def checked_reason(reason: str) -> str:
    """Raises `RequestError` (``invalid_request``)."""
    if not isinstance(reason, str) or len(reason) > REASON_CHARS_MAX:
        raise RequestError("invalid_request", f"a reason is a text of at most {REASON_CHARS_MAX:,} characters")
    return storable_text(reason)
