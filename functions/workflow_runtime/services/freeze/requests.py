"""Setting and thawing switches, and what they hold: what people ask for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.ports import Clock
from workflow_runtime.services.control.requests import checked_reason
from workflow_runtime.services.freeze.scopes import WORKFLOW, checked_scope, line_of
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.mail import Mailer
from workflow_runtime.services.messages import parse_mail
from workflow_runtime.storage.freezes import Switch
from workflow_runtime.storage.limiters import PAGE, Waiter
from workflow_runtime.storage.stores import Stores

HELD_SHOWN_MAX = 100


class Freezing(msgspec.Struct, frozen=True):
    """A switch after a request about it. ``changed`` False: it was as the request wants it already."""

    switch: Switch
    changed: bool

    def json(self) -> dict[str, Json]:
        return {**switch_json(self.switch), "changed": self.changed}


class Freezes:
    """``by``: the caller, as far as known. Scopes are as in `scopes`. All raise `RetryableError`, and
    `RequestError` (``invalid_request``) for anything but a scope.
    """

    def __init__(self, clock: Clock, stores: Stores, looks: Looks, lines: Lines, mailer: Mailer) -> None:
        self._clock = clock
        self._freezes = stores.freezes
        self._limiters = stores.limiters
        self._workflows = stores.workflows
        self._looks = looks
        self._lines = lines
        self._mailer = mailer

    def freeze(self, scope: str, reason: str = "", *, by: str = "") -> Freezing:
        """Hold back the starts of a workflow, the runs of an agent, or all of both, in a few seconds at the latest.

        Raises `RequestError`: ``not_found`` for a workflow that there is not.
        """
        scope, reason = checked_scope(scope), checked_reason(reason)
        if scope.startswith(WORKFLOW) and self._workflows.pointer(scope.removeprefix(WORKFLOW)) is None:
            raise RequestError("not_found", f"workflow {scope.removeprefix(WORKFLOW)!r} is not published")
        now = self._clock.now()
        wanted = Switch(scope=scope, generation=now, since=now, by=by, reason=reason)
        before = self._freezes.switch(scope)
        switch = self._freezes.set(wanted)
        self._lines.pause(line_of(scope), Limiter())
        self._looks.read()
        return Freezing(switch, before is None or before.generation != switch.generation)

    def thaw(self, scope: str) -> Freezing:
        """Hold back nothing more, and have what is held sent on. What cannot be sent at once follows within a minute.

        Raises `RequestError`: ``not_found`` where nothing was ever frozen.
        """
        scope = checked_scope(scope)
        switch = self._freezes.switch(scope)
        if switch is None:
            raise RequestError("not_found", f"{scope!r} is not frozen")
        changed = switch.holds
        if changed:
            now = self._clock.now()
            self._freezes.thaw(switch, now)
            switch = msgspec.structs.replace(switch, thawed_at=now)
        if not switch.closed:
            self._lines.open(line_of(scope))  # also when repeated: the first may have died in between
        self._looks.read()
        return Freezing(switch, changed)

    def list(self) -> Sequence[Switch]:
        """The switches that hold, and those whose thaw is under way."""
        return [switch for switch in self._freezes.switches() if switch.holds or self._has_line(switch)]

    def look_after(self) -> None:
        """Have thaws come to their end that have died half way, or whose pump has; and what an earlier version of the
        runtime holds sent on. Raises `RetryableError`."""
        for switch in self._freezes.switches():
            if switch.holds:
                continue
            line = line_of(switch.scope)
            gauge = self._lines.gauge(line)
            if arithmetic.is_paused(gauge):
                self._lines.open(line)
            elif arithmetic.LINE in gauge:
                self._lines.ensure_pump(line, gauge)
            elif self._send_left(switch):
                self._freezes.close(switch, self._clock.now())

    def _send_left(self, switch: Switch) -> bool:
        """What an earlier version has held: events; the sweep finds the starts and the orders that are missing. Whether
        that was all."""
        left = self._freezes.left(switch.scope, PAGE)
        mails = [parse_mail(self._freezes.body(one)) for one in left if one.is_event]
        if mails and self._mailer.send_all(mails):
            raise RetryableError("what was frozen was refused by its queue")
        if left:
            self._freezes.drop(left)
        return len(left) < PAGE

    def _has_line(self, switch: Switch) -> bool:
        return arithmetic.LINE in self._limiters.gauge(line_of(switch.scope))

    def held(self, scope: str) -> tuple[Switch, Sequence[Waiter], bool]:
        """A switch, the first `HELD_SHOWN_MAX` things that it holds, and whether there are more. Raises `RequestError`
        (``not_found``)."""
        scope = checked_scope(scope)
        switch = self._freezes.switch(scope)
        if switch is None or not (switch.holds or self._has_line(switch)):
            raise RequestError("not_found", f"{scope!r} is not frozen")
        held = self._limiters.line(line_of(scope), HELD_SHOWN_MAX + 1)
        return switch, held[:HELD_SHOWN_MAX], len(held) > HELD_SHOWN_MAX


def switch_json(switch: Switch) -> dict[str, Json]:
    return {
        "scope": switch.scope,
        "since": iso_time(switch.since),
        "by": switch.by,
        "reason": switch.reason,
        "thawed_at": iso_time(switch.thawed_at) if switch.thawed_at else None,
    }


def held_json(held: Waiter) -> dict[str, Json]:
    at = iso_time(held.since)
    return {"kind": held.kind, "execution_id": held.execution_id, "path": held.path or None, "at": at}
