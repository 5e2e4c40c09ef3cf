"""What a server and its worker processes say to one another: length-prefixed JSON over a socket pair."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.sdk import Pending

LENGTH_BYTES = 8


class Call(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Server: run this. The fields are those of `NodeCall` that a `NodeContext` is made from."""

    tool: str
    inputs: dict[str, Json]
    execution_id: str
    workflow_id: str
    path: str
    attempt: int
    idempotency_key: str
    deadline: int
    hops: int
    correlation_id: str
    limit_fences: dict[str, int]


class Stop(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Server: nobody wants the result of the call any more."""


class Token(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Server: the task token that was asked for."""

    value: str


class AskToken(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Worker: the tool asks for its task token."""


class Logged(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Worker: the tool logs a line."""

    level: int
    message: str


class Returned(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Worker: the call's result; ready for the next one."""

    output: Json
    warnings: tuple[str, ...] = ()
    pending: Pending | None = None


class Failed(msgspec.Struct, frozen=True, tag=True, tag_field="message_type"):
    """Worker: the call's error, as that of an attempt; ready for the next one. ``wrong_arguments``: the tool was not
    called at all."""

    type: str
    message: str
    retry_after: float | None = None
    wrong_arguments: bool = False


ToWorker: TypeAlias = Call | Stop | Token
FromWorker: TypeAlias = AskToken | Logged | Returned | Failed

_encoder = msgspec.json.Encoder()
to_worker = msgspec.json.Decoder(ToWorker)
from_worker = msgspec.json.Decoder(FromWorker)


def framed(message: ToWorker | FromWorker) -> bytes:
    data = _encoder.encode(message)
    return len(data).to_bytes(LENGTH_BYTES, "big") + data
