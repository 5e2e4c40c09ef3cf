"""The command line `awr`: validate, compile, draw and run workflows on this machine, and ask HTTP APIs.

- `app`: the program; `commands`: options and help texts; nothing that takes long to import.
- `output`: what goes to stdout and what to stderr, as text or as one JSON document; exit codes and errors.
- `files`: which files, which `definitions` directory, what ``--input`` says. `excerpts`: findings with source lines.
- `checking` (validate, compile), `drawing` (graph); `running` (run) with `stepping` (its events), `repeating` (when it
  has seen enough), `progress` (meanwhile), `summary` (afterwards), `charts` (states and events as lines) and `logs`;
  `invoking` (invoke).
- `server` (which API) and `api` (calls to it); `publishing` (publish), `executing` (start, status), `listing` (list,
  history), `signalling` (signal, publish-event), `searching` (logs of a deployment or of `awr dev`).

Imports every other part, each when a command needs it: `awr --help` loads none of them. Nothing imports it.
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
