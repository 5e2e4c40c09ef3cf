"""The command line `awr`: validate, compile, draw and run workflows on this machine, and ask HTTP APIs.

- `app`: the program; `commands`: a module for each command, imported when its command is named.
- `errors`: exit codes and errors. `output`: what goes to stdout and what to stderr, as text or as one JSON document.
- `options`: what several commands take. `files`: which files, which `definitions` directory, what ``--input`` says.
- `compilation`: workflow files as the compiler sees them; `excerpts`: its findings with source lines.
- `local`: a runtime in this process. `awr run` has `stepping` (its events), `repeating` (when it has seen enough) and
  `stderr_log`; it shares `progress` (meanwhile), `summary` (afterwards) and `charts` (states and events as lines) with
  those that ask an API.
- `server` (which API) and `api` (calls to it, or to a database file in its place).

Imports every other part; `awr --help` loads none of them. Nothing imports it.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

PYTHON_MIN = (3, 11)
NEW_BEFORE_COLLECTION = 50_000  # objects; by default 700, so that a command would look hundreds of times
USAGE_EXIT_CODE = 2  # `errors.ExitCode.USAGE`, which older Pythons cannot import


def main() -> NoReturn:
    """Run `awr` with the arguments of this process, and exit. What it needs is checked before anything else is
    imported: older Pythons cannot even read the rest."""
    if sys.version_info < PYTHON_MIN:
        found = ".".join(map(str, sys.version_info[:2]))
        print(f"awr needs Python {'.'.join(map(str, PYTHON_MIN))} or newer; this is {found}", file=sys.stderr)
        sys.exit(USAGE_EXIT_CODE)
    gc.set_threshold(NEW_BEFORE_COLLECTION)
    atexit.register(gc.freeze)  # what is left at the end needs no look either
    _open_standard_streams()
    try:
        from workflow_runtime.frontends.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        print(f"awr needs {error.name}: pip install 'agent-workflow-runtime[cli]'", file=sys.stderr)
        sys.exit(USAGE_EXIT_CODE)
    app(prog_name="awr")
    raise AssertionError("the app exits")


def _open_standard_streams() -> None:
    """Streams that the caller closed (``>&-``) lead nowhere: else the next file that is opened, a database perhaps,
    would get their number, and with it what is printed."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
