"""The steps of ``awr run --event``: events to send and times to let pass, each after the one before has settled, or at
a time of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.errors import usage_error
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.progress import seconds_text
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json

if TYPE_CHECKING:
    from workflow_runtime.frontends.cli.progress import Progress
    from workflow_runtime.runtime.in_process import LocalRuntime
    from workflow_runtime.services.intake.signals import Sent

    Moment = tuple[int, Callable[[], None]]

EXAMPLE = """--event pay='{"payment_method": "card"}'"""
SOURCE = "cli"  # what formulas see as `event.source`


class EventStep(msgspec.Struct, frozen=True):
    """``after``: seconds after the step before, whatever is in progress then; None: once that has settled."""

    name: str
    data: Json = None
    after: float | None = None


class TimeStep(msgspec.Struct, frozen=True):
    seconds: float


Step: TypeAlias = EventStep | TimeStep


def parse_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """``NAME``, ``NAME=JSON`` (or ``NAME=@FILE``), ``@DURATION``, ``@DURATION:NAME…``. Raises `CliError`."""
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Step:
    if not text.startswith("@"):
        return _event(text, None)
    duration, colon, event = text[1:].partition(":")
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        hint = "--event @24h lets a day pass, --event @2s:NAME sends an event two seconds later"
        raise usage_error(f"--event {text}: {error}", hint) from None
    return _event(event, seconds) if colon else TimeStep(seconds)


def _event(text: str, after: float | None) -> EventStep:
    name, given, data = text.partition("=")
    if not name.strip():
        raise usage_error(f"--event {text!r} names no event", EXAMPLE)
    value = read_json(data, f"--event {name}", f"the data of event {name!r}", EXAMPLE) if given else None
    return EventStep(name.strip(), value, after)


def moves_time(steps: Sequence[Step]) -> bool:
    return any(isinstance(step, TimeStep) or step.after is not None for step in steps)


class Stepper:
    """Takes the steps on one execution, until it is ``enough``."""

    def __init__(
        self,
        out: Output,
        runtime: LocalRuntime,
        execution_id: str,
        progress: Progress,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self._out = out
        self._runtime = runtime
        self._id = execution_id
        self._progress = progress
        self._enough = enough

    async def take(self, steps: Sequence[Step]) -> str:
        """The execution's status once all steps are taken and nothing more can happen without time or events."""
        groups = [(timed, list(group)) for timed, group in groupby(steps, _is_timed)]
        status = "" if groups and groups[0][0] else await self._settled()
        for timed, group in groups:
            if timed:
                status = await self._send_meanwhile([step for step in group if isinstance(step, EventStep)])
                continue
            for step in group:
                status = await (self._pass(step.seconds) if isinstance(step, TimeStep) else self._send(step))
        return status

    async def _settled(self, moments: Sequence[Moment] = ()) -> str:
        status = await self._runtime.settle(self._id, moments, self._enough)
        self._progress.look()
        return status

    async def _pass(self, seconds: float) -> str:
        self._out.note([("time: ", "cyan"), f"{seconds_text(seconds)} pass"])
        return await self._settled([(self._now() + round(seconds * 1000), lambda: None)])

    async def _send_meanwhile(self, steps: Sequence[EventStep]) -> str:
        """Send each at its time, while what is in progress goes on; then let all settle."""
        posted: list[tuple[EventStep, Sent | None]] = []
        moments: list[Moment] = []
        time = self._now()
        for step in steps:
            time += round((step.after or 0) * 1000)
            moments.append((time, lambda step=step: posted.append((step, self._post(step)))))  # type: ignore[misc]
        status = await self._settled(moments)
        for _, act in moments[len(posted) :]:  # it ended before their time, and refuses them
            act()
        for step, sent in posted:
            self._say(step, sent)
        return status

    async def _send(self, step: EventStep) -> str:
        sent = self._post(step)
        status = await self._settled()
        self._say(step, sent)
        return status

    def _post(self, step: EventStep) -> Sent | None:
        """None: the execution has ended, which is said."""
        signalling = self._runtime.services.signalling
        try:
            return signalling.send(self._id, step.name, step.data, source=SOURCE, watched=True)
        except RequestError as error:
            if error.code != "ended":
                raise
            self._out.note([(f"{step.name}: not taken", "yellow"), f": {error.message}"])
            return None

    def _say(self, step: EventStep, sent: Sent | None) -> None:
        """What became of an event, unless a transition says it."""
        if sent is None:
            return
        result = self._runtime.services.signalling.result(sent)
        if result is None:
            self._out.note([(f"{step.name}: not taken", "yellow"), ": nothing listens to it now"])
        elif result["transition"] is None or result["outcome"] in ("deferred", "kept", "held"):
            reason = f": {result['reason']}" if result["reason"] and result["transition"] is None else ""
            self._out.note([(step.name, "bold"), f": {result['outcome']}{reason}"])

    def _now(self) -> int:
        return self._runtime.backend.ports.clock.now()


def _is_timed(step: Step) -> bool:
    return isinstance(step, EventStep) and step.after is not None
