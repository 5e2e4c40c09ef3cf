"""The steps of ``awr run --event``: events to send and times to let pass, each after the one before has settled."""

from __future__ import annotations

from collections.abc import Sequence
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

EXAMPLE = """--event pay='{"payment_method": "card"}'"""
SOURCE = "cli"  # what formulas see as `event.source`


class EventStep(msgspec.Struct, frozen=True):
    name: str
    data: Json = None


class TimeStep(msgspec.Struct, frozen=True):
    seconds: float


Step: TypeAlias = EventStep | TimeStep


def parse_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """``NAME``, ``NAME=JSON`` (or ``NAME=@FILE``), ``@DURATION``. Raises `CliError`."""
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Step:
    if text.startswith("@"):
        try:
            return TimeStep(parse_duration(text[1:]))
        except ValueError as error:
            raise usage_error(f"--event {text}: {error}", "--event @24h lets a day pass") from None
    name, given, data = text.partition("=")
    if not name.strip():
        raise usage_error(f"--event {text!r} names no event", EXAMPLE)
    if not given:
        return EventStep(name.strip())
    return EventStep(name.strip(), read_json(data, f"--event {name}", f"the data of event {name!r}", EXAMPLE))


def moves_time(steps: Sequence[Step]) -> bool:
    return any(isinstance(step, TimeStep) for step in steps)


class Stepper:
    """Takes the steps on one execution."""

    def __init__(self, out: Output, runtime: LocalRuntime, execution_id: str, progress: Progress) -> None:
        self._out = out
        self._runtime = runtime
        self._id = execution_id
        self._progress = progress

    async def take(self, steps: Sequence[Step]) -> str:
        """The execution's status once all steps are taken and nothing more can happen without time or events."""
        status = await self._settled()
        for step in steps:
            if isinstance(step, TimeStep):
                self._out.note([("time: ", "cyan"), f"{seconds_text(step.seconds)} pass"])
                now = self._runtime.backend.ports.clock.now()
                status = await self._settled(now + round(step.seconds * 1000))
            else:
                status = await self._send(step)
        return status

    async def _settled(self, until: int | None = None) -> str:
        status = await self._runtime.settle(self._id, until)
        self._progress.look()
        return status

    async def _send(self, step: EventStep) -> str:
        signalling = self._runtime.services.signalling
        try:
            sent = signalling.send(self._id, step.name, step.data, source=SOURCE, watched=True)
        except RequestError as error:
            if error.code != "ended":
                raise
            self._out.note([(f"{step.name}: not taken", "yellow"), f": {error.message}"])
            return await self._settled()
        status = await self._settled()
        result = signalling.result(sent)
        if result is None:
            self._out.note([(f"{step.name}: not taken", "yellow"), ": nothing listens to it now"])
        elif result["transition"] is None or result["outcome"] in ("deferred", "kept"):
            reason = f": {result['reason']}" if result["reason"] and result["transition"] is None else ""
            self._out.note([(step.name, "bold"), f": {result['outcome']}{reason}"])
        return status
