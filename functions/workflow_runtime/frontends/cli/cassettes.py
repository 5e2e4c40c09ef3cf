"""Cassettes as commands read, make and write them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.api import api
from workflow_runtime.frontends.cli.errors import CliError, usage_error
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.invokers.cassettes.file import Cassette, decode_cassette, redacted
from workflow_runtime.runtime.environment import SECRET_PREFIX
from workflow_runtime.services.views.cassettes import cassette_of

SECRET_CHARS_MIN = 4  # a shorter one would hide half of all texts


async def recorded(server: Server, execution_id: str) -> Cassette:
    """The cassette of an execution that has ended. Raises `CliError`."""
    async with api(server) as connection:
        document = await connection.document(execution_id)
        recording = await connection.recording(execution_id)
        taken = await connection.taken(execution_id)
    try:
        return cassette_of(document, recording, taken)
    except RequestError as error:
        raise CliError(error.code, error.message) from None


def without_secrets(cassette: Cassette, patterns: Sequence[str]) -> Cassette:
    """Without the secrets that are set here, without credentials, and without what matches ``patterns``. Raises
    `CliError`."""
    secrets = [
        value for name, value in os.environ.items() if name.startswith(SECRET_PREFIX) and len(value) >= SECRET_CHARS_MIN
    ]
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise usage_error(f"--redact {pattern!r} is not a regular expression: {error}") from None
        if compiled[-1].match(""):
            raise usage_error(f"--redact {pattern!r} matches the empty text, which is everywhere")
    return redacted(cassette, secrets, compiled)


def read_cassette(file: Path) -> Cassette:
    """Raises `CliError` for a file that is not a cassette."""
    try:
        return decode_cassette(file.read_bytes())
    except ValueError as error:
        raise CliError("invalid_cassette", f"{file} is not a cassette: {error}", "awr record ID -o FILE") from None
