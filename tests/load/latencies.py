"""What loads of latencies have in common: the workflow, and how the figures are shown."""

from __future__ import annotations

from collections.abc import Iterator

SHARES = (50, 99)
WORKFLOW = """
workflow:
  id: load
  type: state_machine
  initial_state: working
  final_states: [over]
  states:
    - name: working
      run:
        - {id: a, type: tool, tool: echo, inputs: {x: "${n}"}}
        - {id: b, type: tool, tool: echo, inputs: {x: "${a.x}"}}
        - {id: c, type: tool, tool: echo, inputs: {x: "${b.x}"}}
      on_done: listening
    - {name: listening, transitions: [{event: go, target: over}]}
    - {name: over, type: final}
"""
TO_FIRST_NODE, TO_NEXT_NODE, TO_TRANSITION = "start → first node", "node → next node", "event → transition"

Latencies = dict[str, list[int]]
"""Milliseconds, by what they are of."""


def rates(text: str) -> tuple[float, ...]:
    """Starts a second, from an option that has them with commas. Raises `ValueError`."""
    return tuple(map(float, text.split(",")))


def none_yet() -> Latencies:
    return {TO_FIRST_NODE: [], TO_NEXT_NODE: [], TO_TRANSITION: []}


def head() -> Iterator[str]:
    """The first lines of a Markdown table of `row`s."""
    heads = [f"{what}, p{share}" for what in none_yet() for share in SHARES]
    yield f"| starts a second | executions | {' | '.join(heads)} |"
    yield f"| --: | --: |{' --: |' * len(heads)}"


def row(rate: float, found: Latencies) -> str:
    cells = [f"{percentile(values, share)} ms" for values in found.values() for share in SHARES]
    return f"| {rate:g} | {len(found[TO_FIRST_NODE])} | {' | '.join(cells)} |"


def percentile(values: list[int], share: int) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) * share // 100, len(ordered) - 1)]
