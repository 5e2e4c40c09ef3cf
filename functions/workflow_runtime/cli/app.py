"""The commands of `awr`, their options and their help texts. What they do is imported when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from workflow_runtime.cli.dev_command import dev
from workflow_runtime.cli.output import CliError, ExitCode, Output, cli_error

QUIET = {  # Powertools writes to stdout by default; set before anything imports it
    "POWERTOOLS_METRICS_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "workflow-runtime",
}


class GraphFormat(StrEnum):
    """Of `compiler.graphs.FORMATS`, which takes too long to import for a help text; a test compares them."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"
    TEXT = "text"


class BackendName(StrEnum):
    EMBEDDED = "embedded"
    MOTO = "moto"


class AwrGroup(TyperGroup):
    """Commands return their exit code; every error, the parser's too, is shown in one way, or as JSON."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  click's signature; it always ends the process
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        os.environ.update(QUIET)
        words = list(sys.argv[1:] if args is None else args)
        out = Output(json="--json" in words)
        verbose = "--verbose" in words or "-v" in words
        try:
            code = super().main(words, prog_name or "awr", complete_var, False, windows_expand_args, **extra)
        except BrokenPipeError:
            _forget_stdout()
            sys.exit(ExitCode.INVALID)
        except KeyboardInterrupt:
            out.error(CliError("interrupted", "interrupted", exit_code=ExitCode.INTERRUPTED))
            sys.exit(ExitCode.INTERRUPTED)
        except TyperException as error:
            code = _usage(out, error)
        except typer.Abort:
            code = ExitCode.INVALID
        except Exception as error:
            code = _failed(out, error, verbose)
        sys.exit(int(code or 0))


def _usage(out: Output, error: TyperException) -> int:
    """What the parser refused."""
    context = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        out.note_text(message)
        out.document({"error": {"code": "usage", "message": "a command is missing"}})
        return ExitCode.USAGE
    hint = f"{context.command_path} --help" if context is not None else "awr --help"
    out.error(CliError("usage", message, hint, exit_code=ExitCode.USAGE))
    return error.exit_code


def _failed(out: Output, error: Exception, verbose: bool) -> int:
    if verbose and not isinstance(error, CliError):
        import traceback

        traceback.print_exception(error)
    shown = cli_error(error)
    out.error(shown)
    return shown.exit_code


def _forget_stdout() -> None:
    """Whoever read our output has gone; Python must not complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=AwrGroup,
    name="awr",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: the same piped and on a terminal, and rich need not be imported
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 wrong definition or input, 2 wrong usage; awr run --help lists those of a run.",
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("agent-workflow-runtime")
    except PackageNotFoundError:
        number = "(from source)"
    typer.echo(f"awr {number}, Python {sys.version.split()[0]}")
    raise typer.Exit


@app.callback()
def _awr(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Agent Workflow Runtime: workflows of AI agents and tools, written in YAML.

    \b
    A first round, with mocked agents:
      awr validate definitions/
      awr graph definitions/workflows/customer_support.yaml --format text
      awr run definitions/workflows/customer_support.yaml \\
          --mocks definitions/mocks/customer_support.yaml \\
          --input @events/customer_support.input.json
    """


def _existing(metavar: str, help: str, *, directory: bool = False, file: bool = True) -> dict[str, Any]:
    return {"metavar": metavar, "help": help, "exists": True, "dir_okay": directory, "file_okay": file}


_FILE = typer.Argument(**_existing("FILE", "The workflow."))
_DEFINITIONS = typer.Option(
    "--definitions",
    **_existing(
        "DIR", "Where agents/ and tools/ are declared. Default: found above the workflow.", directory=True, file=False
    ),
)
_JSON = typer.Option("--json", help="Print exactly one JSON document on stdout; all else goes to stderr.")


@app.command(short_help="Check workflows and print everything that is wrong.")
def validate(
    paths: Annotated[
        list[Path], typer.Argument(**_existing("PATH…", "Files, or directories to search.", directory=True))
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    json: Annotated[bool, _JSON] = False,
    definitions: Annotated[Path | None, _DEFINITIONS] = None,
) -> int:
    """Check workflows; print everything that is wrong, with its place and what to do.

    In directories every *.yaml, *.yml and *.json file with a top-level `workflow:` is checked.

    Exit codes: 0 fine, 1 errors (with --strict also warnings), 2 wrong usage.
    """
    from workflow_runtime.cli import checking

    return checking.validate(Output(json=json), paths, definitions, strict)


@app.command("compile", short_help="Compile a workflow and show its plan.")
def compile_(
    file: Annotated[Path, _FILE],
    json: Annotated[bool, _JSON] = False,
    definitions: Annotated[Path | None, _DEFINITIONS] = None,
) -> int:
    """Compile a workflow; print its plan's hash, what can run side by side, and the critical path.

    With --json: the plan itself and its analysis.
    """
    from workflow_runtime.cli import checking

    return checking.compile_file(Output(json=json), file, definitions)


@app.command()
def graph(
    file: Annotated[Path, _FILE],
    format: Annotated[
        GraphFormat, typer.Option("--format", "-f", help="mermaid, dot (Graphviz), svg, or text for a terminal.")
    ] = GraphFormat.MERMAID,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write there, not to stdout.")
    ] = None,
    definitions: Annotated[Path | None, _DEFINITIONS] = None,
) -> int:
    """Draw a workflow.

    \b
      awr graph flow.yaml --format svg --output flow.svg
    """
    from workflow_runtime.cli import checking

    return checking.graph(Output(), file, format.value, output, definitions)


@app.command()
def run(
    file: Annotated[
        Path | None, typer.Argument(**_existing("FILE", "The workflow to run; optional with --resume."))
    ] = None,
    others: Annotated[
        list[Path] | None, typer.Option("--with", **_existing("FILE", "Publish this workflow too (repeatable)."))
    ] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON|@FILE", help="The input, a JSON object; @- reads stdin."),
    ] = None,
    mocks: Annotated[
        Path | None, typer.Option("--mocks", **_existing("FILE", "Answers in place of agents and tools."))
    ] = None,
    definitions: Annotated[Path | None, _DEFINITIONS] = None,
    backend: Annotated[
        BackendName, typer.Option("--backend", help="embedded (SQLite), or moto: the AWS adapters on a simulated AWS.")
    ] = BackendName.EMBEDDED,
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", dir_okay=False, help="Keep everything in this file; default: in memory."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="ID", help="Go on with an execution of --db that was interrupted.")
    ] = None,
    skip_time: Annotated[
        bool, typer.Option("--skip-time", help="Do not wait: delays and timers pass at once, in virtual time.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0.001, help="Stop after this many real seconds.")
    ] = None,
    json: Annotated[bool, _JSON] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every attempt, with tracebacks, on stderr.")
    ] = False,
) -> int:
    """Run a workflow on this machine, to its end.

    \b
      awr run flow.yaml --input '{"topic": "storage"}' --mocks mocks.yaml
      awr run flow.yaml --input @input.json --db runs.db
      awr run --resume ex-01a2… --db runs.db

    Real agents need their provider's credentials; --mocks runs without. A secret NAME is read from the
    variable WORKFLOW_SECRET_NAME, ${env.NAME} from WORKFLOW_ENV_NAME.

    \b
    Exit codes:
      0  completed              5    waits for something outside
      1  wrong definition       124  stopped by --timeout
         or input               130  stopped by Ctrl-C (with --db it can be resumed)
      2  wrong usage
      3  failed
      4  cancelled
    """
    from workflow_runtime.cli import running

    options = running.RunOptions(
        file, tuple(others or ()), input, mocks, definitions, backend.value, db, resume, skip_time, timeout, verbose
    )
    return running.run(Output(json=json), options)


app.command(short_help="Serve the HTTP API on this machine; take changed definitions into use at once.")(dev)
