"""What a cold start costs: import time and resident memory of each handler, and the start-up of the ``awr`` command.

    python tests/benchmarks/bench_imports.py [--json] [--smoke]

Each figure is the best of several fresh processes, with bytecode, as it is deployed, in turns. The measure for handlers
is a process that imports boto3 and Powertools, makes four clients, and has nothing of ours; they are compared by their
CPU time, which holds on a busy machine. ``ready`` includes what is made once for all events: settings, clients,
services.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ROOT / "functions"
sys.path.insert(0, str(FUNCTIONS))

from workflow_runtime.deployment.settings import SCHEDULED_QUEUES, Settings  # noqa: E402
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY  # noqa: E402

ROUNDS = 7
TIMES_BASELINE_MAX = {"dispatch": 1.3, "deliver_timer": 1.3, "api": 1.8}  # ready; the aims
BASELINE = "boto3 + aws_lambda_powertools"
HANDLERS = {
    f"workflow_runtime.handlers.{module}": function
    for module, function in (
        ("dispatch", "dispatch"),
        ("deliver_timer", "deliver_timer"),
        ("run_node", "run_node_tool"),
        ("api", "api"),
    )
}
WORKFLOW = "workflow: {id: tiny, nodes: [{id: a, type: tool, tool: echo}]}\n"

_MEASURED = """
import json, sys, time
started = time.perf_counter()
{imports}
imported = time.perf_counter()
def resident():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:  # not Linux
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
figures = {{"import_ms": (imported - started) * 1000, "memory_mb": resident() / 2**20, "modules": len(sys.modules)}}
{first_event}
figures["ready_ms"] = (time.perf_counter() - started) * 1000
figures["ready_cpu_ms"] = time.process_time() * 1000
figures["ready_memory_mb"] = resident() / 2**20
print(json.dumps(figures))
"""
_BASELINE_IMPORTS = "import boto3, aws_lambda_powertools"
_BASELINE_EVENT = """
session = boto3.Session()
clients = [session.client(name) for name in ("dynamodb", "sqs", "s3", "events")]
"""
_HANDLER_EVENT = """
import os
from workflow_runtime.handlers.lifetime import MadeOnce
from workflow_runtime.runtime.aws import aws_runtime
from workflow_runtime.deployment.topology import TOPOLOGY
def made():
    return {module}.create(aws_runtime(os.environ, lambda name, value: None), TOPOLOGY.function({function!r}))
MadeOnce(made, now=True)
"""


def environment() -> dict[str, str]:
    """A deployed function's, with names that lead nowhere; nothing is called."""
    settings = Settings(
        table_name="t",
        bucket_name="b",
        bus_name="e",
        queue_urls={queue.name: f"https://sqs.invalid/0/{queue.name}" for queue in WHOLE_TOPOLOGY.queues},
        definitions_directory=str(ROOT / "definitions"),
        schedule_group="s",
        schedule_role_arn="arn:r",
        queue_arns={queue: f"arn:{queue}" for queue in SCHEDULED_QUEUES},
    )
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHONDONTWRITE"))},
        **settings.to_environment(),
        "PYTHONPATH": str(FUNCTIONS),
        "POWERTOOLS_METRICS_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }


def process(code: str, function: str | None) -> dict[str, float]:
    named = {"FUNCTION": function} if function is not None else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment(), **named}, stdout=subprocess.PIPE, check=True
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def best(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(min(run[name] for run in runs), 1) for name in runs[0]}


def command_seconds(arguments: list[str]) -> float:
    """Wall time of a whole ``awr`` process."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from workflow_runtime.frontends.cli import main; main()", *arguments],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # its progress
        check=True,
    )
    return time.perf_counter() - started


def measure(smoke: bool) -> dict[str, Any]:
    programs = {BASELINE: (_MEASURED.format(imports=_BASELINE_IMPORTS, first_event=_BASELINE_EVENT), None)}
    for module, function in HANDLERS.items():
        event = _HANDLER_EVENT.format(module=module, function=function)
        imports = f"import workflow_runtime.handlers.observed, {module}"
        programs[module] = (_MEASURED.format(imports=imports, first_event=event), function)
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(WORKFLOW, encoding="utf-8")
        for _ in range(1 if smoke else ROUNDS):
            for name, (program, function) in programs.items():
                runs[name].append(process(program, function))
            seconds["awr --help"].append(command_seconds(["--help"]))
            seconds["awr run"].append(command_seconds(["run", str(path)]))
    rows = {name: best(of_program) for name, of_program in runs.items()}
    cpu_ms = rows[BASELINE]["ready_cpu_ms"]
    return {
        "times_baseline_max": TIMES_BASELINE_MAX,
        "modules": [
            {"module": name, **figures, "times_baseline": round(figures["ready_cpu_ms"] / cpu_ms, 2)}
            for name, figures in rows.items()
        ],
        "command_seconds": {command: round(min(taken), 3) for command, taken in seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--smoke", action="store_true", help="one process each")
    arguments = parser.parse_args()
    figures = measure(arguments.smoke)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for row in figures["modules"]:
        print(
            "{module:30} import {import_ms:6.0f} ms {memory_mb:5.0f} MB, ready {ready_ms:6.0f} ms "
            "{ready_memory_mb:5.0f} MB ({times_baseline} of baseline), {modules:.0f} modules".format(**row)
        )
    for command, seconds in figures["command_seconds"].items():
        print(f"{command:30} {seconds:.3f} s")


if __name__ == "__main__":
    main()
