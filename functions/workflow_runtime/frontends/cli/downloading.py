"""Files that a server sends: written beside their place, checked, and only then given their name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import httpx

from workflow_runtime.frontends.cli.errors import CliError, ExitCode, cli_error
from workflow_runtime.frontends.cli.server import Server
from workflow_runtime.frontends.client.answers import error_of

READ_SECONDS = 300.0  # until the first byte: a large database is copied first
CONNECT_SECONDS = 5.0


def download(server: Server, path: str, file: Path, check: Callable[[Path], None]) -> None:
    """Write what the server has at ``path`` to ``file``, unless ``check`` raises. Raises `CliError`."""
    server.check()
    partial = file.with_name(f".{file.name}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as opened:
            _receive(server, path, opened.write)
            opened.flush()
            os.fsync(opened.fileno())
        check(partial)
        os.replace(partial, file)
    except httpx.HTTPError as error:
        raise CliError(
            "unreachable", f"{server.url}: {error}", "--url or AWR_URL says where it is", exit_code=ExitCode.UNREACHABLE
        ) from error
    except OSError as error:
        raise CliError("not_written", f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _receive(server: Server, path: str, write: Callable[[bytes], int]) -> None:
    """Raises `CliError` for an answer that is not the file."""
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    with httpx.stream("GET", server.url.rstrip("/") + path, headers=server.headers, timeout=timeout) as response:
        if response.status_code != httpx.codes.OK:
            response.read()
            raise cli_error(error_of(response))
        for chunk in response.iter_bytes():
            write(chunk)
