"""Reading YAML: the core schema, positions, bounds, and hostile content."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_runtime.definition import load
from workflow_runtime.definition.document import read_document
from workflow_runtime.definition.text import Unreadable
from workflow_runtime.findings import has_errors


def _value(text: str) -> Any:
    document = read_document(text)
    assert not document.problems
    return document.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("null", None),
        ("'1'", "1"),
        ("! 1", "1"),
        ("9223372036854775807", 9223372036854775807),
        ("00000000000000000000000000000000001", 1),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    read = _value(f"a: {text}")["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text", [".inf", "-.INF", ".nan", "9223372036854775808", "1e999", "0x" + "f" * 5000, "9" * 100_000]
)
def test_numbers_that_json_cannot_hold_are_refused(text: str) -> None:
    (problem,) = read_document(f"a: {text}").problems
    assert problem.rule.id == "WF111"


def test_merges_fill_in_what_the_mapping_does_not_say() -> None:
    text = "x-a: &a {one: 1, two: 2}\nx-b: &b {two: 22, three: 3}\nc: {<<: [*a, *b], one: 11}\nd: {'<<': 1}"
    value = _value(text)
    assert value["c"] == {"one": 11, "two": 2, "three": 3}
    assert value["d"] == {"<<": 1}


def test_a_duplicate_key_is_refused_with_both_positions() -> None:
    (problem,) = read_document("a: 1\nb: 2\na: 3\n").problems
    assert problem.rule.id == "WF108"
    assert "line 1, column 1" in problem.message


@pytest.mark.parametrize(
    ("content", "rule", "line", "column"),
    [
        (b"a: \xff", "WF101", 1, 4),
        ("订单: 1\nb: ".encode() + b"\xc3\x28", "WF101", 2, 4),
        (b"\xff\xfea\x00", "WF101", 1, 1),
        ("a: b\nc: \x00", "WF101", 2, 4),
        ("a: b\r\nc: \x07", "WF101", 2, 4),
        ("a: [1, 2\nb: 3", "WF102", 2, 2),
        ("? [a]\n: b", "WF109", 1, 3),
        ("a: &x 1\nb: *y", "WF112", 2, 4),
        ("a: 1\n---\nb: 2", "WF110", 2, 1),
        ("[" * 65, "WF104", 1, 65),
    ],
)
def test_what_cannot_be_read_is_reported_where_it_stands(
    content: str | bytes, rule: str, line: int, column: int
) -> None:
    loaded = load(content, "x.yaml")
    assert loaded.definition is None
    (finding,) = loaded.findings
    assert (finding.id, finding.line, finding.column, finding.file) == (rule, line, column, "x.yaml")


def test_sixty_four_levels_are_read() -> None:
    assert _value("[" * 64 + "]" * 64)


def test_a_byte_order_mark_is_no_problem() -> None:
    assert load(b"\xef\xbb\xbfworkflow: {id: a, nodes: [{id: x, type: tool, tool: t}]}").definition is not None


def test_json_with_escaped_emoji_is_yaml() -> None:
    text = json.dumps(
        {"workflow": {"id": "a", "name": "😀 \\ud83d", "nodes": [{"id": "x", "type": "tool", "tool": "t"}]}}
    )
    loaded = load(text)
    assert loaded.findings == []
    assert loaded.definition is not None
    assert loaded.definition.name == "😀 \\ud83d"


def test_aliases_count_what_they_expand_to() -> None:
    anchor = "a: &a [" + "1," * 998 + "1]\n"
    assert read_document(anchor + "b: [" + "*a," * 10 + "]").value
    with pytest.raises(Unreadable) as caught:
        read_document(anchor + "b: [" + "*a," * 11 + "]")
    assert caught.value.rule.id == "WF105"


def test_aliases_count_the_levels_below_them() -> None:
    with pytest.raises(Unreadable) as caught:
        read_document("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40)
    assert caught.value.rule.id == "WF104"


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
        "import sys; from workflow_runtime.definition import load; text = sys.stdin.read();"
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
