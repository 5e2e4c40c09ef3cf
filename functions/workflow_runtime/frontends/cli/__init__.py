"""The command line `awr`: validate, compile, draw and run workflows on this machine, and ask HTTP APIs.

- `app`: the program; `commands`: a module for each command, imported when its command is named.
- `errors`: exit codes and errors. `output`: what goes to stdout and what to stderr, as text or as one JSON document.
- `options`: what several commands take. `files`: which files, which `definitions` directory, what ``--input`` says.
- `compilation`: workflow files as the compiler sees them; `excerpts`: its findings with source lines.
- `awr run` has `stepping` (its events), `repeating` (when it has seen enough) and `stderr_log`; it shares `progress`
  (meanwhile), `summary` (afterwards) and `charts` (states and events as lines) with those that ask an API.
- `server` (which API) and `api` (calls to it, or to a database file in its place); `following` (to the end).

Imports every other part; `awr --help` loads none of them. Nothing imports it.
"""

from __future__ import annotations

import sys
from typing import NoReturn

EXTRA_MISSING_EXIT_CODE = 2


def main() -> NoReturn:
    """Run `awr` with the arguments of this process, and exit."""
    try:
        from workflow_runtime.frontends.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(f"awr needs {error.name}: pip install 'agent-workflow-runtime[cli]'", file=sys.stderr)
        sys.exit(EXTRA_MISSING_EXIT_CODE)
    app(prog_name="awr")
    raise AssertionError("the app exits")
