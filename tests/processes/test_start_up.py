"""What a function imports before its first event, counted; times are for `tests/benchmarks/bench_imports.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import NamedTuple

import pytest
from tests.architecture.sources import PACKAGE
from tests.benchmarks.bench_imports import environment

from workflow_runtime.deployment.settings import POOLS_VARIABLE
from workflow_runtime.deployment.topology import EXPRESS_FUNCTION, EXPRESS_POOL, WHOLE_TOPOLOGY

EMPTY = {"Records": []}
NOTHING_THERE = {"rawPath": "/", "headers": {}, "requestContext": {"http": {"method": "GET", "path": "/"}}}
EVENTS = {"dispatch": EMPTY, "deliver_timer": EMPTY, "api": NOTHING_THERE}

# What a function that runs no node never needs: each costs a cold start as much as the function's own modules.
NEVER = {
    "boto3": "`backends.aws.sessions` makes clients without it",
    "s3transfer": "comes with boto3",
    "aws_lambda_powertools.utilities.batch": "`handlers.batches` answers for batches",
    "multiprocessing": "comes with boto3's transfers",
    "yaml": "plans are stored compiled",
    "httpx": "tools make requests, and only they",
    "moto": "tests need it",
}

OBJECTS_OF_BOTO3 = 10_000  # at least

PROGRAM = """
import gc, json, os, sys
import workflow_runtime.handlers.{module} as module
imported = sorted(sys.modules)
from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.topology import WHOLE_TOPOLOGY
from workflow_runtime.handlers import entry
os.environ[entry.ON_LAMBDA] = {function!r}
handler = entry.on_lambda(module.create)
ready, frozen = sorted(sys.modules), gc.get_freeze_count()
event = {event}
if event:
    handler(event, LocalContext(WHOLE_TOPOLOGY.function({function!r})))
print(json.dumps([imported, ready, sorted(sys.modules), frozen]), file=sys.stderr)
"""


class Started(NamedTuple):
    """The modules of a process when the handler's module is imported, when it is ready, and after an event that asks
    for nothing; and how many objects collections of garbage pass over by then."""

    imported: list[str]
    ready: list[str]
    used: list[str]
    frozen: int


@cache
def started(function: str) -> Started:
    _, _, module = WHOLE_TOPOLOGY.function(function).handler.removesuffix(".handler").rpartition(".")
    pools = {POOLS_VARIABLE: EXPRESS_POOL} if function == EXPRESS_FUNCTION else {}
    program = PROGRAM.format(function=function, module=module, event=EVENTS.get(function))
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(), "FUNCTION": function, **pools},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return Started(*json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("function", "imported_max", "ours_max"),
    [("dispatch", 485, 253), ("deliver_timer", 355, 120), ("api", 640, 237)],
)
def test_a_function_imports_little_more_than_it_needs(function: str, imported_max: int, ours_max: int) -> None:
    """Whoever goes beyond a number imports where it is used what is not used at once; or the function needs more, and
    gets a number as close to that."""
    found = started(function)
    ours = [name for name in found.ready if name.split(".")[0] == PACKAGE]
    assert len(found.imported) <= imported_max
    assert len(ours) <= ours_max, "\n".join(ours)


@pytest.mark.parametrize("function", ["dispatch", "deliver_timer", "api"])
def test_what_is_made_at_the_start_is_never_looked_through_for_garbage(function: str) -> None:
    assert started(function).frozen > OBJECTS_OF_BOTO3


@pytest.mark.parametrize("function", ["dispatch", "deliver_timer", "api"])
def test_no_function_imports_what_it_can_do_without(function: str) -> None:
    assert not NEVER.keys() & set(started(function).ready)


@pytest.mark.parametrize("function", ["dispatch", "deliver_timer", "api"])
def test_the_first_event_finds_everything_imported(function: str) -> None:
    found = started(function)
    assert found.used == found.ready


def test_only_the_api_imports_models_of_requests() -> None:
    assert "pydantic" in started("api").imported
    assert not {"pydantic"} & {*started("dispatch").used, *started("deliver_timer").used}


def test_an_express_function_is_ready_to_dispatch_and_to_run_nodes() -> None:
    needed = ("engine.advance", "services.work.runner", "invokers.tools.registry")
    assert {f"{PACKAGE}.{name}" for name in needed} <= set(started(EXPRESS_FUNCTION).ready)
