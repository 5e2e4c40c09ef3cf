"""Definitions that nobody means well with, or that are as large as they may be: read in bounds, never a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_runtime.definition.loader import load
from workflow_runtime.findings import has_errors

_BOMB = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)
HOSTILE = {
    "brackets": "[" * 60_000,
    "braces": "workflow: " + "{a: " * 20_000,
    "dashes": "- " * 30_000,
    "indented": "\n".join(" " * depth + "a:" for depth in range(2_000)),
    "bomb": _BOMB,
    "long text bomb": "a: &a " + "x" * 900_000 + "\nb: [" + "*a," * 9_000 + "]",
    "plain scalar": "workflow: " + "x" * (4 * 2**20 - 20),
    "open quote": 'workflow: "' + "x" * (4 * 2**20 - 20),
    "too large": "x" * (4 * 2**20 + 1),
    "digits": "a: " + "9" * 1_000_000,
    "templates": "a: " + "${" * 1_000_000,
    "duplicates": "workflow:\n" + " k: 1\n" * 200_000,
    "bad nodes": "workflow:\n  id: a\n  nodes:\n" + "   - {}\n" * 5_000,
    "unknown keys": "workflow:\n" + "".join(f" k{index}: 1\n" for index in range(20_000)),
    "spaces": " " * (4 * 2**20),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_content_is_refused(name: str) -> None:
    """How fast, is measured in ``tests/benchmarks/bench_hostile.py``."""
    loaded = load(HOSTILE[name])
    assert has_errors(loaded.findings)
    assert 0 < len(loaded.findings) <= 201


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's peak memory")
@pytest.mark.parametrize("name", ["bomb", "long text bomb", "plain scalar", "bad nodes", "many values"])
def test_hostile_content_takes_little_memory(name: str) -> None:
    content = HOSTILE.get(name, "workflow: [" + "{}," * 1_398_000 + "]")
    code = (
        "import sys; from workflow_runtime.definition.loader import load; text = sys.stdin.read();"
        "found = load(text).findings; assert found;"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=content,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(paths), "PYTHONUTF8": "1"},
    )
    assert int(done.stdout) < 200 * 1024  # kilobytes; getrusage would count what the parent had at the fork


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_no_content_crashes_the_loader(content: str | bytes) -> None:
    loaded = load(content)
    assert loaded.definition is not None or loaded.findings


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = (
    "id type subtype nodes edges condition branches case target default agent tool config inputs outputs join on_error "
    "fallback retry_policy compensate triggers error_handlers action timeout defaults strategy items limits events "
    "states name transitions event always after delay run on_enter on_done initial initial_state history log if then "
    "params send to"
)
_FIELDS = st.sampled_from(_NAMES.split())
_WORDS = st.sampled_from(
    ["agent", "tool", "control", "switch", "parallel", "aggregation", "vote", "event", "loop", "${x}", "a"]
)
_CHART_WORDS = st.sampled_from(["state_machine", "hybrid", "parallel", "history", "final", "wait", "log"])
_SHAPED = st.recursive(
    _JSON | _WORDS | _CHART_WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_FIELDS, _SHAPED, max_size=8))
def test_no_document_crashes_the_loader(body: dict[str, Any]) -> None:
    loaded = load(json.dumps({"workflow": body}))
    assert loaded.definition is not None or loaded.findings
    assert all(finding.line >= 1 and finding.column >= 1 for finding in loaded.findings)


def test_ten_thousand_nodes_load() -> None:
    lines = ["workflow:", "  id: big", "  nodes:"]
    for index in range(10_000):
        lines += [
            f"    - id: n{index}",
            "      type: tool",
            "      tool: t",
            f"      dependencies: [n{max(0, index - 1)}]",
        ]
        lines += ["      timeout: 30s", f'      inputs: {{text: "${{n{index}.text}}", n: {index}}}']
    loaded = load("\n".join(lines))
    assert loaded.definition is not None
    assert len(loaded.definition.nodes) == 10_000
