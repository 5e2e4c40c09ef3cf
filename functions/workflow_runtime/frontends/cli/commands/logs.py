"""`awr logs`: an execution's log lines from all functions of a deployment, in order of time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Protocol

import typer

from workflow_runtime.backends.aws.log_search import LogSearch, create_client
from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.api import ask
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output, Span
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.texts import cut, visible

STACK_DEFAULT = "WorkflowRuntime"
SINCE_DEFAULT = "24h"
LOOK_SECONDS = 3.0  # between looks for new lines
LATE_MS = 120_000  # CloudWatch finds lines up to about a minute after they were written
HINT = "--profile or AWS_PROFILE, --region or AWS_REGION; `aws sts get-caller-identity` tests the credentials"
STACK_HINT = "--stack or AWR_STACK names the stack, --region or AWS_REGION where it is"
LEVEL_STYLES = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow"}
FIRST = ("@timestamp", "level", "function_name", "message")  # the others follow as name=value


def logs(
    execution: ExecutionId,
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack",
            metavar="NAME",
            envvar="AWR_STACK",
            help="Read this stack's logs. Default: WorkflowRuntime; awr dev's, if --url is on this machine.",
        ),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 30m, 24h, 7d.")] = SINCE_DEFAULT,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines, until Ctrl-C.")] = False,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what all functions logged about an execution, the oldest line first.

    \b
    Of a deployed runtime, it asks CloudWatch Logs with your AWS credentials (as the AWS CLI finds them, or
    --profile and --region), for the query that the stack saved; new lines take up to a minute to be found.
    Of awr dev, it asks that. awr history shows what happened without what was logged.

    Exit codes: 0 shown, 1 there is no such stack or no access to its logs, 2 wrong usage, 6 awr dev cannot be reached,
    130 stopped by Ctrl-C.
    """
    server = Server(url, token, profile, region)
    return show_logs(Output(json=json), source_of(server, stack), execution, since, follow=follow)


class Lines(Protocol):
    """Where log lines come from."""

    def lines(self, execution_id: str, start: int, end: int) -> Sequence[Mapping[str, str]]:
        """An execution's between two times (epoch ms), the oldest first."""


class DevLines:
    """`Lines` of `awr dev`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def lines(self, execution_id: str, start: int, end: int) -> Sequence[Mapping[str, str]]:
        return ask(self._server, lambda api: api.log_lines(execution_id, start, end))


def source_of(server: Server, stack: str | None) -> Lines:
    """A stack's logs; without a stack, those of an `awr dev` on this machine."""
    if stack is None and server.loopback is not None and server.profile is None and server.region is None:
        return DevLines(server)
    try:
        client = create_client(server.profile, server.region or os.environ.get("AWS_REGION"))
    except RequestError as error:
        raise CliError(error.code, error.message, HINT) from error
    return LogSearch(client, stack or STACK_DEFAULT)


def show_logs(
    out: Output,
    source: Lines,
    execution_id: str,
    since: str,
    *,
    follow: bool = False,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> ExitCode:
    """Print the lines from ``since`` on, or follow them. ``pause`` and ``now`` (epoch s) are for tests."""
    if follow and out.json:
        raise usage_error("--json prints one document, and --follow never ends")
    end = round(now() * 1000)
    start = end - _milliseconds(since)
    try:
        found = source.lines(execution_id, start, end)
    except RequestError as error:
        raise CliError(error.code, error.message, HINT if error.code != "not_found" else STACK_HINT) from error
    out.document({"lines": found})
    _show(out, execution_id, found)
    if not found:
        out.note(f"no lines of {execution_id} in the last {since}; --since looks further back")
    shown = {tuple(line.items()) for line in found}
    while follow:
        pause(LOOK_SECONDS)
        end = round(now() * 1000)
        fresh = [line for line in source.lines(execution_id, max(start, end - LATE_MS), end) if _is_new(line, shown)]
        _show(out, execution_id, fresh)
    return ExitCode.OK


def _milliseconds(since: str) -> int:
    try:
        return round(parse_duration(since) * 1000)
    except ValueError as error:
        raise usage_error(f"--since: {error}", "30m, 24h and 7d are times") from error


def _is_new(line: Mapping[str, str], shown: set[tuple[tuple[str, str], ...]]) -> bool:
    """Whether it has not been asked about before."""
    identity = tuple(line.items())
    if identity in shown:
        return False
    shown.add(identity)
    return True


def _show(out: Output, execution_id: str, lines: Sequence[Mapping[str, str]]) -> None:
    for line in lines:
        out.line(_spans({name: value for name, value in line.items() if value != execution_id}))


def _spans(line: Mapping[str, str]) -> list[Span]:
    level = line.get("level", "")
    said = "  ".join(visible(cut(line[name])) for name in ("function_name", "message") if line.get(name))
    rest = "".join(f"  {name}={visible(cut(value))}" for name, value in line.items() if name not in FIRST)
    return [
        (line.get("@timestamp", ""), "dim"),
        (f"  {level:<8}", LEVEL_STYLES.get(level, "")),
        (f" {said}", ""),
        (rest, "dim"),
    ]
