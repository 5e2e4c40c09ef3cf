"""`awr eval`: a dataset of pydantic-evals on a workflow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import definitions_directory
from workflow_runtime.frontends.cli.options import AllowHttp, AsJson, Definitions, MocksFile, Verbose, existing
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.stderr_log import log_to_stderr
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.language.texts import shorten, visible
from workflow_runtime.language.yaml.small_files import read_document

INSTALL = 'pip install "agent-workflow-runtime[evals]"'
REASON_COLUMNS = 120
CONCURRENCY_MAX = 100  # cases side by side: each is a runtime of its own


def eval_(
    suite: Annotated[Path, typer.Argument(**existing("FILE", "The suite."))],
    mocks: MocksFile = None,
    definitions: Definitions = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=CONCURRENCY_MAX, help="Cases side by side.")
    ] = 4,
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", min=1, max=100, help="Run each case so often.")] = 1,
    allow_http: AllowHttp = None,
    json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Evaluate a workflow: run the cases of a dataset of pydantic-evals, and have its evaluators judge them.

    \b
      workflow: refund_desk                  # its id
      mocks: ../definitions/mocks/refund_desk.yaml      # if agents are not to be real
      cases:
        - {name: small, inputs: {customer: Ann, message: refund A-1001}, expected_output: {decision: refunded}}
      evaluators: [EqualsExpected, {MaxToolCalls: 5}]

    Each case is an execution in memory, in virtual time. Evaluators see its output, and the calls of its tools and
    models (ToolCorrectness, TrajectoryMatch, ArgumentCorrectness, MaxToolCalls, MaxModelRequests).

    Exit codes: 0 all hold, 1 wrong suite or definition, 2 wrong usage, 3 something does not hold.
    """
    out = Output(json=json)
    content = read_document(suite).value
    if not isinstance(content, dict) or not isinstance(content.get("workflow"), str):
        raise CliError(
            "invalid_suite", f"{suite} names no workflow", "`workflow: ID`, and beside it `cases` and `evaluators`"
        )
    try:
        from workflow_runtime.frontends.cli.evals import Suite, evaluated, read_dataset
    except ImportError as error:
        raise usage_error(f"awr eval needs pydantic-evals ({error.name} is not installed)", INSTALL) from None
    given = mocks or (suite.parent / str(content["mocks"]) if content.get("mocks") is not None else None)
    asked = Suite(
        content["workflow"],
        read_dataset(suite, {name: value for name, value in content.items() if name not in ("workflow", "mocks")}),
        Mocks.load(given) if given is not None else None,
        definitions or definitions_directory(suite),
        tuple(allow_http or ()),
    )
    with log_to_stderr(verbose), redirect_stdout(sys.stderr):
        report = asyncio.run(evaluated(asked, concurrency, repeat))
    out.document(report)
    for line in _lines(report):
        out.line(line)
    holds = not report["failures"] and all(case["passed"] for case in report["cases"])
    return ExitCode.OK if holds else ExitCode.FAILED


def _lines(report: dict[str, Any]) -> Iterator[Line]:
    for case in report["cases"]:
        yield [("✓ ", "green") if case["passed"] else ("✗ ", "red"), (visible(case["name"]), "bold"), _numbers(case)]
        for result in case["results"]:
            is_bad = result["value"] is False
            reason = f"  {visible(shorten(result['reason'], REASON_COLUMNS))}" if result["reason"] else ""
            value = {True: "holds", False: "does not hold"}.get(result["value"], str(result["value"]))
            yield [(f"    {visible(result['name'])}: {value}{reason}", "red" if is_bad else "dim")]
        for text in case["evaluator_failures"]:
            yield [(f"    {visible(text)}", "red")]
    for failed in report["failures"]:
        yield [("✗ ", "red"), (visible(failed["name"]), "bold"), f"  {visible(failed['error'])}"]
    count = len(report["cases"]) + len(report["failures"])
    passed = sum(case["passed"] for case in report["cases"])
    yield [(f"{passed} of {count} cases hold", "bold green" if passed == count else "bold red")]


def _numbers(case: dict[str, Any]) -> str:
    metrics = case["metrics"]
    if not metrics.get("requests"):
        return ""
    cost = f", ${metrics['cost']:,.4f}" if metrics.get("cost") else ""
    return f"  {metrics['requests']:,} requests{cost}"
