"""What commands exit with, and errors as people and programs are told of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from workflow_runtime.errors import DefinitionError, RequestError, RetryableError, WorkflowRuntimeError
from workflow_runtime.findings import Finding


class ExitCode(IntEnum):
    """What `awr` exits with."""

    OK = 0
    INVALID = 1  # the definition or the input is wrong, or the API refused something else
    USAGE = 2
    FAILED = 3
    CANCELLED = 4
    WAITING = 5  # for something outside: nothing more can happen by itself
    UNREACHABLE = 6  # the API cannot be reached or cannot answer
    INTERNAL = 70  # EX_SOFTWARE: a fault of this program
    TIMED_OUT = 124  # as timeout(1)
    HUNG_UP = 129  # as shells: 128 + the signal, here SIGHUP
    INTERRUPTED = 130  # SIGINT
    TERMINATED = 143  # SIGTERM


class CliError(Exception):
    """A command that cannot be carried out. ``code`` is stable, for programs."""

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        exit_code: ExitCode = ExitCode.INVALID,
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.findings = tuple(findings)


def usage_error(message: str, hint: str = "") -> CliError:
    return CliError("usage", message, hint, exit_code=ExitCode.USAGE)


def cli_error(error: BaseException) -> CliError:
    """Any error as one that can be shown."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, DefinitionError):
        return CliError("invalid_definition", "the definition is not valid", findings=error.findings)
    if isinstance(error, RequestError):
        return CliError(error.code, error.message)
    if isinstance(error, RetryableError):
        return CliError("unavailable", str(error))
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return CliError("system", f"{place}{error.strerror or error}")
    if isinstance(error, WorkflowRuntimeError):
        return CliError("refused", str(error))
    message = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    return CliError("internal", message, "--verbose shows where", exit_code=ExitCode.INTERNAL)
