"""The stack that the emulator gets: the shipped one, with times that a test can wait for, and mocked agents."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_cdk import App, RemovalPolicy
from aws_cdk import aws_lambda as lambda_
from infra.props import RuntimeProps
from infra.stack import WorkflowRuntimeStack
from msgspec.structs import replace
from tests.e2e.emulator import PYTHON, ROOT

from workflow_runtime.deployment.topology import EVENTS, TOPOLOGY, Function, Queue, Topology

STACK = "WorkflowRuntime"
NODE_TIMEOUT_SECONDS = 30  # of workers: when they die, their messages are seen again after this time
SLOW_SECONDS = 12  # that the mocked tool `slow` takes: long enough to be killed meanwhile
EVENTS_TIMEOUT_SECONDS = 5
EVENTS_RECEIVES_MAX = 2

TEST_TOOLS = {"slow": {"delay": SLOW_SECONDS, "return": {"slept": SLOW_SECONDS}}}


def synthesize(folder: Path) -> Path:
    """The cloud assembly, as `cdk synth` writes it."""
    assembly = folder / "assembly"
    app = App(outdir=str(assembly))
    props = RuntimeProps(
        removal_policy=RemovalPolicy.DESTROY,
        deletion_protection=False,
        architecture=lambda_.Architecture.ARM_64 if _machine() == "arm64" else lambda_.Architecture.X86_64,
        wheels_for_python=_emulators_python(),  # it runs functions with its own
        mocks_for_tests=_mocks(folder),
        snap_start=False,
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}")  # it compiles the archives
        WorkflowRuntimeStack(app, STACK, props, topology=quick_topology())
    app.synth()
    return assembly


def quick_topology() -> Topology:
    """The runtime's, but dead workers and undeliverable events are noticed within seconds."""
    return Topology(
        queues=tuple(map(_quick_queue, TOPOLOGY.queues)),
        functions=tuple(map(_quick_function, TOPOLOGY.functions)),
        rules=TOPOLOGY.rules,
        ticks=TOPOLOGY.ticks,
    )


def _quick_queue(queue: Queue) -> Queue:
    if queue.name.startswith("node-"):
        return replace(queue, visibility_seconds=NODE_TIMEOUT_SECONDS)
    if queue.name == EVENTS:
        return replace(queue, visibility_seconds=EVENTS_TIMEOUT_SECONDS, receives_max=EVENTS_RECEIVES_MAX)
    return queue


def _quick_function(function: Function) -> Function:
    if function.pool:
        return replace(function, timeout_seconds=NODE_TIMEOUT_SECONDS)
    if any(source.queue == EVENTS for source in function.sources):
        return replace(function, timeout_seconds=EVENTS_TIMEOUT_SECONDS)
    return function


def _mocks(folder: Path) -> Path:
    """The mocks that ship with the definitions, as one file."""
    merged: dict[str, dict[str, Any]] = {"agents": {}, "tools": dict(TEST_TOOLS)}
    for path in sorted((ROOT / "definitions" / "mocks").glob("*.yaml")):
        mocks = yaml.safe_load(path.read_text(encoding="utf-8"))
        for kind in merged:
            added = _hurried(mocks.get(kind, {}))
            others = {name for name in merged[kind].keys() & added.keys() if merged[kind][name] != added[name]}
            assert not others, f"{path.name}: mocked otherwise before: {others}"
            merged[kind] |= added
    file = folder / "mocks.yaml"
    file.write_text(yaml.safe_dump(merged, allow_unicode=True), encoding="utf-8")
    return file


def _hurried(behaviour: Any) -> Any:
    """Mocks that take their time, which `awr run --skip-time` lets pass, do not here."""
    if isinstance(behaviour, list):
        return [_hurried(each) for each in behaviour]
    if isinstance(behaviour, dict):
        return {name: _hurried(value) for name, value in behaviour.items() if name != "delay"}
    return behaviour


def _machine() -> str:
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def _emulators_python() -> str:
    code = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
