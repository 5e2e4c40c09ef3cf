"""How expectation and fact differ, for people: JSON values by path, sequences of nodes side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from workflow_runtime.language.json_values import Json

SHOWN_CHARS_MAX = 200  # of one value in a message
SHOWN_DIFFERENCES_MAX = 20

Steps: TypeAlias = "Sequence[str | set[str] | frozenset[str] | list[str]]"
"""Nodes in order; those within a set (or an inner list) in any order."""


def json_differences(expected: Json, actual: Json, *, partial: bool = False, place: str = "$") -> Iterator[str]:
    """One line per place that differs. ``partial``: keys that only ``actual`` has are fine, at every depth."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected:
            inner = f"{place}.{key}"
            if key not in actual:
                yield f"{inner}: expected {shown(expected[key])}, is missing"
            else:
                yield from json_differences(expected[key], actual[key], partial=partial, place=inner)
        if not partial:
            yield from (
                f"{place}.{key}: not expected, is {shown(actual[key])}" for key in actual if key not in expected
            )
    elif isinstance(expected, list) and isinstance(actual, list):
        for index, (wanted, found) in enumerate(zip(expected, actual, strict=False)):
            yield from json_differences(wanted, found, partial=partial, place=f"{place}[{index}]")
        if len(expected) != len(actual):
            yield f"{place}: expected {len(expected)} elements, has {len(actual)}"
    elif expected != actual or isinstance(expected, bool) is not isinstance(actual, bool):
        yield f"{place}: expected {shown(expected)}, is {shown(actual)}"


def differences_text(lines: Iterator[str]) -> str:
    """The first differences, one a line, indented."""
    found = list(lines)
    more = [f"… and {len(found) - SHOWN_DIFFERENCES_MAX} more"] if len(found) > SHOWN_DIFFERENCES_MAX else []
    return "\n".join(f"  {line}" for line in [*found[:SHOWN_DIFFERENCES_MAX], *more])


def shown(value: Json) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"


def path_matches(expected: Steps, actual: Sequence[str]) -> bool:
    """Whether ``actual`` is ``expected``, sets taken in any order."""
    place = 0
    for step in expected:
        wanted = {step} if isinstance(step, str) else set(step)
        if set(actual[place : place + len(wanted)]) != wanted:
            return False
        place += len(wanted)
    return place == len(actual)


def path_text(steps: Steps) -> str:
    parts = [step if isinstance(step, str) else "{" + ", ".join(sorted(step)) + "}" for step in steps]
    return " → ".join(parts) or "(nothing)"


def path_differences(expected: Steps, actual: Sequence[str]) -> list[str]:
    """What is missing, what is too much, or where the order first differs."""
    wanted = [name for step in expected for name in ([step] if isinstance(step, str) else sorted(step))]
    missing = [name for name in wanted if name not in actual]
    extra = [name for name in actual if name not in wanted]
    lines = [f"did not run: {', '.join(missing)}"] if missing else []
    lines += [f"ran unexpectedly: {', '.join(extra)}"] if extra else []
    if not lines:
        place = next((i for i, (a, b) in enumerate(zip(wanted, actual, strict=False)) if a != b), len(actual))
        lines = [f"the order differs from step {place + 1} on"]
    return lines
