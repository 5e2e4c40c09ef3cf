"""What a cassette holds, its file, and secrets hidden in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from workflow_runtime.invokers.masking import MASK, Mask
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage.steps import Step

FORMAT = 1
"""Number of this layout; a cassette with a higher one was made by a newer version and is refused."""

MODEL = "model"  # the step that a request of a model is
CREDENTIALS = re.compile(
    "|".join(
        (
            r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",  # access keys of AWS
            r"\bsk-[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, and others that do likewise
            r"\bgh[pousr]_[A-Za-z0-9]{30,}",  # GitHub
            r"\bgithub_pat_[A-Za-z0-9_]{20,}",
            r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",  # Slack
            r"\bAIza[A-Za-z0-9_-]{30,}",  # Google
            r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*",  # JSON Web Tokens
            r"(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{16,}",
            r"(?<=://)[^/@\s:]{1,100}:[^/@\s]{1,200}(?=@)",  # of addresses
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,10000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
        )
    )
)
"""Texts that look like credentials, wherever they come from."""


class RunOnTape(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an attempt ended: ``success`` with its output, or ``failed`` with an error.

    - ``asked``: what tells whether another call asks the same (see `Meter.asked`); None: that is not known
    """

    serial: int
    status: Literal["success", "failed"]
    output: Json = None
    error: dict[str, Json] | None = None
    asked: Json = None
    warnings: tuple[str, ...] = ()


class TurnOnTape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A turn of a session: its ``messages``, and a ``summary`` of what was before the first one that is told."""

    number: int
    messages: Json
    summary: str = ""


class VisitOnTape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A visit of a node: its attempts that ended, in order; of an agent, its ``steps``. ``definition``: the agent's,
    as the visit began with it. ``session``: of an agent that has one, the turns that it was told; unset: there is
    none, or, with ``in_session``, they were not there any more when it was recorded: then what its requests asked
    cannot be compared, and no others can be made."""

    path: str
    number: int
    runs: tuple[RunOnTape, ...] = ()
    steps: tuple[Step, ...] = ()
    definition: Json = None
    in_session: bool = False
    session: tuple[TurnOnTape, ...] | msgspec.UnsetType = msgspec.UNSET


class ChildOnTape(msgspec.Struct, frozen=True, omit_defaults=True):
    """An execution that a node started, and how it ended. ``status`` "": nobody waited for its end."""

    path: str
    status: str = ""
    output: Json = None
    error: dict[str, Json] | None = None


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came from outside: an answer to the approval at ``path``, or an event with a ``name``. ``at``: epoch ms.

    ``key``, ``route``, ``to``, ``source``, ``id``: of events, as in `SignalReceived`.
    """

    at: int
    path: str = ""
    approved: bool = False
    by: str = ""
    comment: str = ""
    name: str = ""
    data: Json = msgspec.UNSET
    key: str | None = None
    route: str = ""
    to: str = ""
    source: str = ""
    id: str = ""


class Cassette(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An execution that has ended. Times are epoch ms. ``redacted``: how many texts are hidden that were not when
    it ran; then what was asked can no longer be compared, and is not."""

    cassette: int = FORMAT
    execution_id: str
    workflow_id: str
    workflow_version: int
    started_at: int
    ended_at: int = 0
    status: str
    input: Json
    output: Json = None
    error: dict[str, Json] | None = None
    usage: dict[str, Json] | None = None
    redacted: int = 0
    visits: tuple[VisitOnTape, ...] = ()
    children: tuple[ChildOnTape, ...] = ()
    said: tuple[Said, ...] = ()


def encode_cassette(cassette: Cassette) -> bytes:
    """For people, too: it is read in reviews, and differences of two are."""
    document = {"cassette": FORMAT, **msgspec.to_builtins(cassette)}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_cassette(data: bytes) -> Cassette:
    """Raises `ValueError`, with the reason, for what is none."""
    try:
        cassette = msgspec.json.decode(data, type=Cassette)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if cassette.cassette > FORMAT:
        raise ValueError(f"it has format {cassette.cassette}, and this version knows {FORMAT}: a newer one made it")
    return cassette


def redacted(cassette: Cassette, secrets: Iterable[str], patterns: Iterable[re.Pattern[str]] = ()) -> Cassette:
    """The cassette without these secrets, however they are encoded, and without what looks like credentials or
    matches ``patterns``."""
    mask = Mask(secrets)
    found = (CREDENTIALS, *patterns)
    count = 0

    def hidden(text: str) -> str:
        nonlocal count
        shown = str(mask.value(text))
        for pattern in found:
            shown = pattern.sub(MASK, shown)
        count += shown != text
        return shown

    content = _mapped(msgspec.to_builtins(cassette), hidden)
    if not count:
        return cassette
    shown = msgspec.convert(content, Cassette)
    visits = tuple(_not_comparable(visit) for visit in shown.visits)
    return replace(shown, visits=visits, redacted=cassette.redacted + count)


def in_session(visit: VisitOnTape) -> VisitOnTape:
    """The visit as one that went on from a session."""
    runs = tuple(
        replace(run, asked={"call": run.asked["call"]}) if isinstance(run.asked, dict) else run for run in visit.runs
    )
    steps = tuple(replace(step, fingerprint=None) if step.name == MODEL else step for step in visit.steps)
    return replace(visit, runs=runs, steps=steps, in_session=True)


def _not_comparable(visit: VisitOnTape) -> VisitOnTape:
    runs = tuple(replace(run, asked={} if isinstance(run.asked, dict) else None) for run in visit.runs)
    return replace(visit, runs=runs, steps=tuple(replace(step, fingerprint=None) for step in visit.steps))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _mapped(item, change) for key, item in value.items()}
    return [_mapped(item, change) for item in value] if isinstance(value, list | tuple) else value
