"""The program `awr`: its commands put together, and errors shown in one way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from workflow_runtime.frontends.cli import commands
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, cli_error
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.language.refusals import refusal
from workflow_runtime.runtime.startup import nothing_is_garbage

QUIET = {  # Powertools writes to stdout by default; set before anything imports it
    "POWERTOOLS_METRICS_DISABLED": "true",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "workflow-runtime",
}


VALUE_OPTIONAL = ("--resume",)  # typer knows no such options
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init:init", "Create a project that runs and has tests."),
    "validate": ("validate:validate", "Check workflows and print everything that is wrong."),
    "compile": ("compile:compile_", "Compile a workflow and show its plan."),
    "expand": ("expand:expand", "Write out a team of agents as a workflow."),
    "graph": ("graph:graph", "Draw a workflow, or an execution with its statuses and active states."),
    "tools": ("tools:tools", "List the tools that workflows may name, with their arguments."),
    "agents": ("agents:agents", "List the agents that workflows may name, or publish some to an API."),
    "schema": ("schema:schema", "Print the JSON Schema of a kind of file, for editors."),
    "run": ("run:run", "Run a workflow on this machine, to its end."),
    "invoke": ("invoke:invoke", "Call one Lambda function with an event from a file."),
    "dev": ("dev:dev", "Serve the HTTP API on this machine; pick up changed definitions at once."),
    "serve": ("serve:serve", "Serve the HTTP API in production, on one machine."),
    "tokens": ("tokens:tokens", "Make and revoke the tokens that awr serve asks for."),
    "backup": ("backup:backup", "Copy the database of a running awr serve."),
    "restore": ("backup:restore", "Make a database out of a backup."),
    "operator": ("operator:operator", "Keep custom resources of Kubernetes in step with an API."),
    "publish": ("publish:publish", "Publish workflows to an API."),
    "start": ("start:start", "Start an execution of a published workflow."),
    "signal": ("signal:signal", "Send an event to an execution."),
    "cancel": ("control:cancel", "Cancel an execution."),
    "suspend": ("control:suspend", "Suspend an execution, until it is resumed."),
    "resume": ("control:resume", "Resume a suspended execution."),
    "retry": ("control:retry", "Continue an execution that has ended."),
    "compensate": ("control:compensate", "Undo what an execution that failed or was cancelled has done."),
    "skip": ("control:skip", "Continue an execution without a node."),
    "approvals": ("approvals:approvals", "List what people are asked, or show one approval."),
    "approve": ("approvals:approve", "Approve what people are asked."),
    "reject": ("approvals:reject", "Reject what people are asked."),
    "delegate": ("approvals:delegate", "Have somebody else asked in your place."),
    "freeze": ("freeze:freeze", "Hold back starts of a workflow, runs of an agent, or all of both."),
    "thaw": ("freeze:thaw", "Release what was frozen."),
    "redrive": ("redrive:redrive", "List dead letters, or bring them back."),
    "limits": ("limits:limits", "List limiters, show who waits, or change one."),
    "sessions": ("sessions:sessions", "List the sessions of agents, show what was said in one, or forget it."),
    "publish-event": ("signal:publish_event", "Put an event on the bus of awr dev."),
    "list": ("list:list_", "List the published workflows, or the executions of one."),
    "usage": ("usage:usage", "Show what models have used and cost, by tenant, workflow, agent and model."),
    "status": ("status:status", "Show an execution, or watch it to its end."),
    "why": ("why:why", "Show what an execution waits for, and what would move it."),
    "history": ("history:history", "Show what happened in an execution."),
    "export": ("replay:export", "Export an execution as a recording, or everything, for awr import."),
    "record": ("record:record", "Record an execution as a cassette, for tests and what-ifs."),
    "whatif": ("whatif:whatif", "Take an execution again, changed, and show what comes out differently."),
    "eval": ("eval:eval_", "Evaluate a workflow with a dataset of pydantic-evals."),
    "import": ("import_:import_", "Import what awr export --all has written."),
    "trace": ("trace:trace", "Show an execution as a trace, or send it to an OpenTelemetry collector."),
    "replay": ("replay:replay", "Replay an execution's journal, and show the first difference."),
    "logs": ("logs:logs", "Show what was logged about an execution."),
}
"""By name: module and function below `commands`, and what `awr --help` says. A module is imported when its command is
named: together they take half a second."""


@cache
def _command(name: str) -> Any:
    place, short_help = COMMANDS[name]
    module, _, function = place.partition(":")
    with nothing_is_garbage():
        callback = getattr(import_module(f"{commands.__name__}.{module}"), function)
    command = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=CONTEXT)
    command.command(name, short_help=short_help)(callback)
    return typer.main.get_command(command)


class CommandTable(Mapping[str, Any]):
    """The commands of `COMMANDS`, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class AwrGroup(TyperGroup):
    """Commands return their exit code; every error, the parser's too, is shown in one way, or as JSON."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = CommandTable()  # type: ignore[assignment]  # it is only read

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  click's signature
        """What `awr --help` lists, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help) for name, (_, short_help) in COMMANDS.items()])

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
        words = with_values(list(sys.argv[1:] if args is None else args))
        out = Output(json="--json" in words)
        verbose = "--verbose" in words or "-v" in words
        try:
            code = super().main(words, prog_name or "awr", complete_var, False, windows_expand_args, **extra)
        except BrokenPipeError:
            _forget_stdout()
            sys.exit(ExitCode.INVALID)
        except TyperException as error:
            code = _usage(out, error)
        except typer.Abort:
            code = ExitCode.INVALID
        except Exception as error:
            code = _failed(out, error, verbose)
        sys.exit(int(code or 0))

    def invoke(self, ctx: Any) -> Any:
        """Here, because typer's own `main` ends silently when it is interrupted."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise CliError("interrupted", "interrupted", exit_code=ExitCode.INTERRUPTED) from None


def with_values(words: Sequence[str]) -> list[str]:
    """The words with an empty one behind every option whose value may be left out, where it is."""
    found: list[str] = []
    for word, following in zip_longest(words, words[1:], fillvalue="-"):
        found.append(word)
        if word in VALUE_OPTIONAL and (following.startswith("-") or Path(following).is_file()):
            found.append("")
    return found


def _usage(out: Output, error: TyperException) -> int:
    """What the parser refused."""
    context = getattr(error, "ctx", None)
    details = getattr(error.__cause__, "errors", None)  # pydantic's, which checks what options are given
    if details is not None:
        error.message = refusal(details(include_url=False, include_input=False)[0])
    message = error.format_message()
    line = " ".join(message.split())  # a list of choices has one on each line
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        out.note_text(message)
        out.document({"error": {"code": "usage", "message": "a command is missing"}})
        return ExitCode.USAGE
    hint = f"{context.command_path} --help" if context is not None else "awr --help"
    _show(out, CliError("usage", line, hint, exit_code=ExitCode.USAGE))
    return error.exit_code


def _failed(out: Output, error: Exception, verbose: bool) -> int:
    if verbose and not isinstance(error, CliError):
        import traceback

        traceback.print_exception(error)
    shown = cli_error(error)
    _show(out, shown)
    return shown.exit_code


def _show(out: Output, error: CliError) -> None:
    from workflow_runtime.frontends.cli.excerpts import show_error  # with it come files and their JSON

    show_error(out, error)


def _forget_stdout() -> None:
    """The reader of our output has gone; Python must not complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=AwrGroup,
    name="awr",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: the same piped and on a terminal, and rich need not be imported
    add_completion=False,
    context_settings=CONTEXT,
    epilog="Exit codes: 0 fine, 1 wrong definition or input, 2 wrong usage; awr COMMAND --help lists the others.",
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
    A first round, without a model or AWS:
      awr init my-project && cd my-project
      awr run definitions/workflows/answer_message.yaml \\
          --mocks definitions/mocks/answer_message.yaml \\
          --input '{"message": "Where is my order?"}'
      awr validate definitions
      awr graph definitions/workflows/answer_message.yaml --format text

    \b
    With a server (awr dev, or a deployed API: --url or AWR_URL):
      awr publish definitions/workflows
      awr start answer_message --input '{"message": "Where is my order?"}' --wait 60

    \b
    Environment: AWR_URL and AWR_TOKEN stand for --url and --token, AWR_STACK for --stack of awr logs; requests
    are signed with the credentials of AWS_PROFILE, AWS_ACCESS_KEY_ID and so on, as the AWS CLI finds them, for
    the region in the URL, or else AWS_REGION.
    """
