"""The benchmarks' results as the tables of README.md, "What it costs".

    python tests/benchmarks/run.py > results.json && python tests/benchmarks/table.py results.json [--print]
    python tests/benchmarks/peers/run.py --json > peers.json && python tests/benchmarks/table.py --peers peers.json

Rewrites what stands between two marks in README.md, and the figures between those of README.zh-CN.md, for the results
and for what was measured beside others; with ``--print`` the tables go to standard output instead.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / "functions"), str(_ROOT)]

from tests.benchmarks.aws_calls import PRICES, PRICES_AS_OF, SHOWN, dollars_per_million  # noqa: E402

README = _ROOT / "README.md"
TRANSLATION = README.with_name("README.zh-CN.md")
FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
BENCHMARKS, PEERS = "benchmarks", "peers"  # what the marks around the tables name
COMMAND = "python tests/benchmarks/run.py > results.json && python tests/benchmarks/table.py results.json"
PEERS_COMMAND = (
    "python tests/benchmarks/peers/run.py --json > peers.json && python tests/benchmarks/table.py --peers peers.json"
)

STEP_FUNCTIONS_PER_MILLION = 25.0  # Standard workflows, per state transition
BUS_EVENT, API_REQUEST = 1.00, 1.00  # EventBridge: custom events; API Gateway: HTTP API
BUS_EVENTS, EXECUTION_INVOCATIONS = 2, 2  # that it started, that it ended; the API, and the first dispatch
LOGS_GB, TRACES = 0.50, 5.00
LAMBDA_GB_SECOND = 0.0000166667  # x86
EXAMPLE_MEMORY_GB, EXAMPLE_SECONDS = 0.5, 0.01

EXPRESSIONS = {
    "a reference": "evaluate_reference_us",
    "a guard": "evaluate_guard_us",
    "a template of text": "evaluate_template_text_us",
    "a filter over 1,000 elements": "evaluate_filter_1000_us",
    "compiling a guard": "compile_guard_us",
}
SIZES = (100, 1_000, 10_000)

Results = dict[str, Any]


def tables(results: Results) -> str:
    """Markdown, from the whole document that ``run.py`` prints."""
    machine, figures = results["machine"], results["benchmarks"]
    blocks = (
        [f"Measured by `{COMMAND}`", _machine(machine)],
        _embedded(figures["embedded"]),
        _aws(figures["aws_calls"]),
        _events(figures["events"], figures["machine"]),
        _sizes(figures["compile"], figures["engine"], figures["scopes"]),
        _small(figures["expressions"], figures["imports"]),
    )
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _machine(machine: dict[str, Any]) -> str:
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
    return f"on {where}, {machine['date']}."


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |".replace("  ", " ") for cells in (head, marks, *rows)]


def _embedded(rows: list[dict[str, Any]]) -> list[str]:
    shapes: dict[str, dict[str, dict[str, Any]]] = {row["shape"]: {} for row in rows}
    for row in rows:
        shapes[row["shape"]][row["backend"]] = row

    def lines() -> Iterator[Sequence[str]]:
        for shape, by_backend in shapes.items():
            memory, file = by_backend["memory"], by_backend["file"]
            yield (
                shape,
                *(f"{row['wall_ms_per_node']:.2f} / {row['cpu_ms_per_node']:.2f}" for row in (memory, file)),
                f"{file['closed_file_kb_per_node']:.1f} / {file['file_kb_per_node']:.1f}",
            )

    head = (
        "On one machine, a no-op node, ms wall / CPU",
        "in memory",
        "on a file",
        "KB of file closed / open with its log",
    )
    return _table(head, lines())


def peers_table(results: Results) -> str:
    """Markdown, from the document that ``peers/run.py`` prints."""
    shapes, versions = results["shapes"], results["versions"]
    columns = list(shapes[0]["wall_ms"])

    def lines() -> Iterator[Sequence[str]]:
        for row in shapes:
            yield row["shape"], *(peers_cell(row, name) for name in columns)

    titles = (f"{name} {versions[name]}" if name in versions else f"ours, {name}" for name in columns)
    block = (
        [f"Beside others, in turn: `{PEERS_COMMAND}`", _machine(results["machine"])],
        _table(("A no-op node, or an event, ms wall / CPU", *titles), lines()),
    )
    return "\n".join("\n".join(part) + "\n" for part in block)


def peers_cell(row: Results, name: str) -> str:
    """What a node costs in a column, and for how many of ours that is enough."""
    cell = f"{row['wall_ms'][name]:.2f} / {row['cpu_ms'][name]:.2f}"
    return f"{cell} ({row['ratio'][name]:.1f}×)" if name in row["ratio"] else cell


def _aws(every: list[dict[str, Any]]) -> list[str]:
    rows = [row for row in every if "per_node" in row]
    (express,) = (row for row in every if "per_node" not in row)

    def lines() -> Iterator[Sequence[str]]:
        for row in rows:
            counts = row["per_node"]
            yield (
                row["shape"],
                *(f"{counts[name]:.1f}" for name in SHOWN),
                f"${dollars_per_million(counts):.2f}",
                f"${STEP_FUNCTIONS_PER_MILLION:.0f}",
            )

    duration = LAMBDA_GB_SECOND * EXAMPLE_MEMORY_GB * EXAMPLE_SECONDS * 1e6
    head = (
        "On AWS, a node of 1 KB",
        "write units",
        "read units",
        "SQS requests",
        "Lambda invocations",
        "per million",
        "Step Functions Standard",
    )
    prices = (
        f"Requests counted on simulated AWS; list prices of us-east-1, {PRICES_AS_OF}: "
        f"DynamoDB on demand ${PRICES['write_units']:g} and ${PRICES['read_units']:g} per million units, "
        f"SQS ${PRICES['sqs_requests']:.2f}, of FIFO queues ${PRICES['sqs_requests'] + PRICES['fifo_requests']:.2f}, "
        f"Lambda ${PRICES['invocations']:.2f}."
    )
    left_out = (
        f"Left out: Lambda's duration, ${duration:.2f} per million for every {EXAMPLE_SECONDS * 1000:.0f} ms "
        f"at {EXAMPLE_MEMORY_GB * 1024:.0f} MB; logs, ${LOGS_GB:.2f} per GB and about a kilobyte a node; "
        f"traces, ${TRACES:.2f} per million; storage until it expires; receives by idle pollers; "
        f"reads of states that another process has committed, ${PRICES['read_units']:g} for every 4 KB."
    )
    return [*_table(head, lines()), "", prices, _execution(rows), _express(express), left_out]


def _express(row: dict[str, Any]) -> str:
    counts, dollars = row["counts"], row["dollars_per_million"]
    taken = (
        f"{counts['write_units']} write units, {counts['read_units']:g} read units and {counts['invocations']} Lambda"
    )
    return (
        f"An express execution of {row['nodes']} nodes costs ${dollars:.2f} per million, its place in the list "
        f"included: {taken} invocation, beside the API's own and the request to it (${API_REQUEST:.2f} per million)."
    )


def _execution(rows: list[dict[str, Any]]) -> str:
    """What an execution costs besides its nodes: a chain, whose start and end are single commits."""
    (chain,) = (row["per_execution"] for row in rows if row["shape"] == "chain")
    dollars = sum(chain[name] * PRICES[name] for name in PRICES if name != "invocations")
    dollars += BUS_EVENTS * BUS_EVENT + API_REQUEST + EXECUTION_INVOCATIONS * PRICES["invocations"]
    return (
        f"An execution costs ${dollars:.2f} per million besides its nodes: {chain['write_units']:.0f} write units, "
        f"{chain['read_units']:.0f} read units, {chain['sqs_requests']:.0f} SQS requests, {BUS_EVENTS} events on the "
        f"bus and a request to the API (${API_REQUEST:.2f} per million of either), "
        f"{EXECUTION_INVOCATIONS} Lambda invocations."
    )


def _events(events: dict[str, Any], machine: dict[str, float]) -> list[str]:
    """What events cost charts: on one machine, on AWS, and the engine alone."""
    shapes: dict[str, dict[str, float]] = {}
    for row in events["embedded"]:
        shapes.setdefault(row["shape"], {})[row["backend"]] = row["wall_ms_per_event"]

    def local() -> Iterator[Sequence[str]]:
        for shape, by_backend in shapes.items():
            yield shape, f"{by_backend['memory']:.2f}", f"{by_backend['file']:.2f}"

    def remote() -> Iterator[Sequence[str]]:
        for row in events["aws"]:
            counts = row["per_event"]
            names = ("write_units", "read_units", "sqs_requests", "scheduler_requests", "invocations")
            yield (row["shape"], *(f"{counts[name]:.1f}" for name in names), f"${dollars_per_million(counts):.2f}")

    count = events["embedded"][0]["events"]
    first = _table((f"{count:,} events through the order machine, ms wall an event", "in memory", "on a file"), local())
    head = (
        "On AWS, an event that moves a chart",
        "write units",
        "read units",
        "SQS requests",
        "Scheduler requests",
        "Lambda invocations",
        "per million",
    )
    named = ", ".join(
        f"{name} {machine[f'{name}_memory_us']:.0f} (stored {machine[f'{name}_stored_us']:.0f})"
        for name in ("flat", "nested", "parallel")
    )
    alone = (
        "A timer is a schedule of EventBridge Scheduler beyond 15 minutes, charged when it fires ($1 per million). "
        f"The engine alone, µs for a macrostep: {named}; stored: with the state decoded and encoded in between."
    )
    return [*first, "", *_table(head, remote()), "", alone]


def _sizes(compilations: list[dict[str, Any]], engine: dict[str, float], scopes: dict[str, float]) -> list[str]:
    seconds = {(row["shape"], row["nodes"]): row["total_seconds"] for row in compilations}

    def lines() -> Iterator[Sequence[str]]:
        for shape in dict.fromkeys(shape for shape, _ in seconds):
            name = shape.replace("-", "_")
            yield (
                shape,
                *(f"{seconds[shape, size]:.2f}" for size in SIZES),
                *(f"{engine[f'{name}_{size}_stored_us']:.0f}" for size in SIZES),
            )

    head = (
        "By number of nodes",
        *(f"compile {size:,}, s" for size in SIZES),
        *(f"event {size:,}, µs" for size in SIZES),
    )
    what = "An event: decode the state, advance, encode it; all but the table."
    beside = ", ".join(
        f"{what} {scopes[f'{name}_1_memory_us']:.0f} and {scopes[f'{name}_1000_memory_us']:.0f}"
        for name, what in {"result": "a node's result", "signal": "a signal", "timer": "a timer"}.items()
    )
    stored = max(value for name, value in scopes.items() if name.endswith("_per_scope_us"))
    idle = (
        f"The engine alone, µs for an event beside one idle chart and beside 1,000: {beside}; decoding and encoding "
        f"the state adds at most {stored:.2f} for every idle scope and what it waits for."
    )
    return [*_table(head, lines()), "", what, idle]


def _small(expressions: dict[str, float], imports: dict[str, Any]) -> list[str]:
    named = ", ".join(f"{what} {_microseconds(expressions[name])} µs" for what, name in EXPRESSIONS.items())

    def lines() -> Iterator[Sequence[str]]:
        for row in imports["modules"]:
            name = row["module"]
            yield (
                name if "+" in name else f"`{name}`",
                f"{row['import_ms']:.0f} ms / {row['memory_mb']:.0f} MB",
                f"{row['ready_ms']:.0f} ms / {row['ready_memory_mb']:.0f} MB",
            )

    commands = ", ".join(f"`{name}` {seconds:.2f} s" for name, seconds in imports["command_seconds"].items())
    head = ("Cold start", "imported", "ready, with AWS clients")
    return [*_table(head, lines()), "", f"Expressions: {named}. Start to end: {commands} (a tiny workflow)."]


def _microseconds(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def rewritten(readme: str, block: str, name: str = BENCHMARKS) -> str:
    """``readme`` with ``block`` between the marks. Raises `ValueError` when they are not there."""
    begin, end = _marks(name)
    return readme.replace(f"{begin}{block_of(readme, name)}{end}", f"{begin}{block}{end}")


def block_of(readme: str, name: str = BENCHMARKS) -> str:
    """What stands between the marks. Raises `ValueError` when they are not there."""
    first, last = _marks(name)
    _, begin, rest = readme.partition(first)
    block, end, _ = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"the README lacks {first.strip()} and {last.strip()}")
    return block


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->\n"


def with_figures(translation: str, block: str) -> str:
    """The translation of a block with the figures of ``block``.

    Both must have the same lines, with their figures in the same order; otherwise `ValueError` says which line to
    translate again.
    """
    ours, theirs = translation.splitlines(keepends=True), block.splitlines(keepends=True)
    if len(ours) != len(theirs):
        raise ValueError(f"the translation has {len(ours)} lines for the benchmarks, the original {len(theirs)}")
    return "".join(_line_with_figures(*lines) for lines in zip(ours, theirs, strict=True))


def _line_with_figures(translation: str, line: str) -> str:
    figures = FIGURE.findall(line)
    if len(figures) != len(FIGURE.findall(translation)):
        raise ValueError(f"other figures than in the original; translate this line again: {line.strip()}")
    remaining = iter(figures)
    return FIGURE.sub(lambda _: next(remaining), translation)


def rewrite(block: str, name: str) -> None:
    """Put the block into the README and its figures into the translation."""
    translation = TRANSLATION.read_text(encoding="utf-8")
    figures = with_figures(block_of(translation, name), block)
    README.write_text(rewritten(README.read_text(encoding="utf-8"), block, name), encoding="utf-8")
    TRANSLATION.write_text(rewritten(translation, figures, name), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="what run.py printed")
    parser.add_argument("--peers", type=Path, help="what peers/run.py printed")
    parser.add_argument("--print", action="store_true", help="print the tables, leave the READMEs alone")
    arguments = parser.parse_args()
    if arguments.results is None and arguments.peers is None:
        parser.error("there are no results: give what run.py printed, or --peers")
    blocks = {}
    if arguments.results is not None:
        blocks[BENCHMARKS] = tables(json.loads(arguments.results.read_text(encoding="utf-8")))
    if arguments.peers is not None:
        blocks[PEERS] = peers_table(json.loads(arguments.peers.read_text(encoding="utf-8")))
    for name, block in blocks.items():
        if arguments.print:
            print(block, end="")
        else:
            rewrite(block, name)


if __name__ == "__main__":
    main()
