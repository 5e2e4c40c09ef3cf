"""What a node costs here, and what it costs others, measured side by side in one interleaved run.

    python tests/benchmarks/peers/run.py --setup             once: the environment of the others
    python tests/benchmarks/peers/run.py [--json] [--rounds N]

Others are LangGraph and DBOS, both on SQLite files opened as ours is, and the local test runner of AWS Lambda durable
functions, which keeps everything in memory, as does ours in the column beside it. Restate is not among them: it needs a
server of its own, which no package index has. Every runner is a process that stays up (`harness`). In each round, every
shape is run once by each of them in turn, so that what else the machine does slows them all; the best round counts, and
one before the first warms them up. All of them look for garbage as rarely as `awr` does.

The table and the JSON document tell milliseconds per no-op node (or per event), and for how many of ours the wall time
of another is enough. ``--setup`` needs `pip`'s index; it leaves this project's own environment alone. No test and
no CI run uses any of this.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[2])]

from harness import SMALL, Sizes  # noqa: E402
from tests.benchmarks.run import machine  # noqa: E402
from tests.benchmarks.table import peers_cell  # noqa: E402

REQUIREMENTS = HERE / "requirements.txt"
ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workflow-runtime-peers"
ROUNDS = 5


@dataclass(frozen=True)
class Column:
    """A runner: its title, its module, further arguments, the package whose version is told, and the column of ours
    that it is measured beside."""

    title: str
    module: str
    arguments: tuple[str, ...] = ()
    package: str = ""
    beside: str = ""


FILE, MEMORY = "on a file", "in memory"
COLUMNS = (
    Column(FILE, "ours"),
    Column("LangGraph", "on_langgraph", package="langgraph", beside=FILE),
    Column("DBOS", "on_dbos", package="dbos", beside=FILE),
    Column(MEMORY, "ours", ("memory",)),
    Column(
        "durable functions",
        "on_durable_functions",
        package="aws-durable-execution-sdk-python",
        beside=MEMORY,
    ),
)


def set_up(environment: Path) -> None:
    venv.create(environment, with_pip=True, clear=True)
    command = [python_of(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--require-hashes", "--requirement", str(REQUIREMENTS)], check=True)


def python_of(environment: Path) -> str:
    return str(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


class Runner:
    """A process that runs shapes when it is asked to."""

    def __init__(self, process: subprocess.Popen[str], title: str) -> None:
        self._process = process
        self._title = title

    def run(self, shape: str) -> dict[str, float]:
        """``wall_ms`` and ``cpu_ms`` of the whole shape. Raises `RuntimeError` when it failed or gave a wrong result:
        the runner has said so on standard error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{shape}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, which the missing answer tells
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._title}: {shape} failed")
        measured: dict[str, float] = json.loads(answer)
        return measured


@contextmanager
def started(column: Column, environment: Path, folder: Path, sizes: Sizes) -> Iterator[Runner]:
    python = python_of(environment) if column.beside else sys.executable
    command = [python, str(HERE / f"{column.module}.py"), str(folder), json.dumps(asdict(sizes)), *column.arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            yield Runner(process, column.title)
        finally:
            process.terminate()


def measure(environment: Path, sizes: Sizes, rounds: int) -> list[dict[str, Any]]:
    """A row for each shape: milliseconds for a node or event, best of the rounds, by column."""
    best: dict[tuple[str, str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        runners = {
            column.title: stack.enter_context(started(column, environment, Path(folder), sizes)) for column in COLUMNS
        }
        for number in range(rounds + 1):
            for shape, units in sizes.units.items():
                for title, runner in runners.items():
                    for name, spent in runner.run(shape).items():
                        if number:
                            key = (shape, title, name)
                            best[key] = min(best.get(key, float("inf")), spent / units)
    return [_row(shape, title, best) for shape, title in sizes.titles.items()]


def _row(shape: str, title: str, best: Mapping[tuple[str, str, str], float]) -> dict[str, Any]:
    row: dict[str, Any] = {"shape": title}
    for name in ("wall_ms", "cpu_ms"):
        row[name] = {column.title: round(best[shape, column.title, name], 3) for column in COLUMNS}
    row["ratio"] = {
        column.title: round(best[shape, column.title, "wall_ms"] / best[shape, column.beside, "wall_ms"], 2)
        for column in COLUMNS
        if column.beside
    }
    return row


def versions(environment: Path) -> dict[str, str]:
    (site_packages,) = environment.glob("[Ll]ib/**/site-packages")
    installed = {found.name.lower(): found.version for found in distributions(path=[str(site_packages)])}
    return {column.title: installed[column.package] for column in COLUMNS if column.package}


def table(document: dict[str, Any]) -> str:
    titles = [column.title for column in COLUMNS]
    lines = [["ms wall / CPU", *(f"ours {name}" if name in (FILE, MEMORY) else name for name in titles)]]
    lines += [[row["shape"], *(peers_cell(row, name) for name in titles)] for row in document["shapes"]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="install the others, then end")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT, help=f"of the others (default: {ENVIRONMENT})")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it works")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds: at least one")
    if arguments.setup:
        set_up(arguments.environment)
        return
    if not Path(python_of(arguments.environment)).exists():
        parser.error(f"there is no environment {arguments.environment}; --setup makes it")
    rows = measure(arguments.environment, SMALL if arguments.smoke else Sizes(), arguments.rounds)
    document = {"machine": machine(), "versions": versions(arguments.environment), "shapes": rows}
    print(json.dumps(document, indent=2) if arguments.json else table(document))


if __name__ == "__main__":
    main()
