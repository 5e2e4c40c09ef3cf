"""`awr backup` and `awr restore`: the database of one machine as a file, and back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.copies import back_up, check_backup
from workflow_runtime.backends.embedded.copies import restore as restore_file
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, cli_error
from workflow_runtime.frontends.cli.options import AsJson, Token, Url, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.client.answers import error_of
from workflow_runtime.frontends.serve.backups import BACKUP_PATH

Target = Annotated[Path, typer.Argument(metavar="FILE", help="The backup: a new file.", show_default=False)]


def backup(
    file: Target,
    db: Annotated[
        Path | None, typer.Option("--db", **existing("DB", "Copy this database, which no server uses."))
    ] = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    json: AsJson = False,
) -> int:
    """Copy the whole database of a running awr serve, as it is at one moment, into a file. Work goes on meanwhile.

    The backup is read through before it gets its name. A server asks for a token with the scope operate.

    \b
      awr backup /backups/awr-$(date +%F).db

    Exit codes: 0 done, 1 refused, the file exists, or the copy is damaged, 2 wrong usage, 6 no server there.
    """
    out = Output(json=json)
    if file.exists():
        raise CliError("file_exists", f"{file} exists; a backup takes a new name")
    if db is not None:
        with open_backend(db) as backend:
            back_up(backend.database, file)
    else:
        download(Server(url, token), BACKUP_PATH, file, check_backup)
    size = file.stat().st_size
    out.document({"file": str(file), "bytes": size})
    out.line(f"{file}: {size:,} bytes")
    return ExitCode.OK


def restore(
    backup: Annotated[Path, typer.Argument(**existing("BACKUP", "The backup."))],
    db: Annotated[
        Path,
        typer.Option("--db", metavar="DB", dir_okay=False, help="The database that it becomes.", show_default=False),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the database that is there.")] = False,
    json: AsJson = False,
) -> int:
    """Make a database out of a backup; no server may use it meanwhile. The backup stays.

    Executions continue from where they were when the backup was made: what happened since did not happen for them,
    whatever their nodes have done outside. Nodes that were under way count as lost with their worker.

    \b
      awr restore /backups/awr-2027-01-01.db --db data/awr.db

    Exit codes: 0 done, 1 the backup is damaged, a server runs, or there is a database, 2 wrong usage.
    """
    out = Output(json=json)
    restore_file(backup, db, replace=force)
    out.document({"restored": str(db)})
    out.line(f"{db} is what {backup} was")
    return ExitCode.OK


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
