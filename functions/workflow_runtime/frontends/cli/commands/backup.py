"""`awr backup` and `awr restore`: the database of one machine as a file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.copies import back_up, check_backup
from workflow_runtime.backends.embedded.copies import restore as restore_file
from workflow_runtime.frontends.cli.downloading import download
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.options import AsJson, Token, Url, existing
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
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
