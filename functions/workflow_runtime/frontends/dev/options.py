"""The options of `awr dev`."""

from __future__ import annotations

from pathlib import Path

import msgspec

PORT_DEFAULT = 8080

HELP = """Run the whole runtime on this machine, behind the HTTP API at http://127.0.0.1:PORT.

Publishes DIR/workflows and picks up every change in DIR at once. With --db everything is kept in one SQLite file:
after a crash or kill -9, start it again and every execution continues where it was. Without it, everything is in
memory.

It listens on loopback only and asks nobody who they are; awr serve is the same runtime for production on a single
machine. Accepted requests survive the process's death, but the last moments before a power cut may be lost (SQLite's
WAL with synchronous=NORMAL). A node under way when the process dies counts as a lost worker: its attempt is not
repeated silently.

Ctrl-C ends it with exit code 130: requests are answered, and with --db nodes under way get a second to end. SIGTERM
ends it with exit code 0, and gives them ten. What is left then goes on in the next process.
"""


def definitions_default() -> Path | None:
    """``definitions`` in the working directory, if there is one."""
    folder = Path("definitions")
    return folder if folder.is_dir() else None


class DevOptions(msgspec.Struct, frozen=True):
    """``port`` 0: any free one. ``db``: the SQLite file; None: memory. ``mocks``: a mocks file.
    ``allow_http``: hosts, addresses and networks that `http_request` may reach besides what the settings allow.
    """

    port: int = PORT_DEFAULT
    db: Path | None = None
    definitions: Path | None = None
    mocks: Path | None = None
    allow_http: tuple[str, ...] = ()
