"""The options of `awr serve`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from workflow_runtime.frontends.dev.options import PORT_DEFAULT
from workflow_runtime.frontends.server.running import LOOPBACK_HOST

WORKERS_MAX = 128
DRAIN_SECONDS = 20.0  # Kubernetes kills after 30, of which requests may take some
TOKENS_NAME = "tokens.yaml"

HELP = """Run the whole runtime on this machine as its production server: one process, one database file.

Tools that are plain functions (not async) run in threads of that process, or with --workers in so many processes of
their own: on all processors, and a tool that crashes or cannot be stopped costs its attempt and no more.

Callers need a token of the tokens file (default: tokens.yaml beside the database), which awr tokens writes. The server
listens on loopback; --host makes it reachable from elsewhere, which should mean: by a proxy that speaks TLS.

Accepted requests survive the death of the process: start it again, and every execution continues where it was. SIGTERM
ends it in order: requests are answered, nodes under way get --drain seconds, and what is left continues in the next
process. SIGHUP has it read definitions and tokens again (tokens are noticed by themselves, too). The last moments
before a power cut may be lost (SQLite's WAL with synchronous=NORMAL).

\b
  awr tokens create ci --scope read --scope run --file data/tokens.yaml
  awr serve --db data/awr.db --definitions definitions

/health/live and /health/ready are open; /metrics needs a token with the scope read.
"""


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class ServeOptions(msgspec.Struct, frozen=True):
    """What `awr serve` is told.

    ``db``: the database file.
    ``host``: the address to listen on.
    ``port``: 0 is any free one.
    ``tokens``: the tokens file; None: `TOKENS_NAME` beside the database.
    ``definitions``: workflows to publish, agents and tools; None: no agents or tools but the built-in ones.
    ``proxies``: as `running.Listening.proxies`.
    ``drain_seconds``: at the end, for attempts under way.
    ``log_format``: of the lines on stderr.
    ``workers``: processes for authors' blocking tools; 0: they run in threads of this one.
    ``allow_http``: hosts, addresses and networks that `http_request` may reach besides what the settings allow.
    """

    db: Path
    host: str = LOOPBACK_HOST
    port: int = PORT_DEFAULT
    tokens: Path | None = None
    definitions: Path | None = None
    proxies: str = ""
    drain_seconds: float = DRAIN_SECONDS
    log_format: LogFormat = LogFormat.JSON
    allow_http: tuple[str, ...] = ()
    workers: int = 0

    @property
    def tokens_file(self) -> Path:
        return self.tokens if self.tokens is not None else self.db.parent / TOKENS_NAME
