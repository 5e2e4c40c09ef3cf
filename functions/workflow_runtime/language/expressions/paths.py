"""Closures for paths: one that reads (null and a note where it leads nowhere), one that probes (`MISSING` there)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from workflow_runtime.language.expressions.operators import Evaluator
from workflow_runtime.language.expressions.scope import MISSING, Scope
from workflow_runtime.language.expressions.times import format_iso
from workflow_runtime.language.json_values import Json

Step: TypeAlias = Callable[[Scope, Json], Json]
"""From a value to what the step leads to, or `MISSING`."""

_TIMES = ("now", "current_time")


def name_probe(name: str) -> Evaluator:
    """The value of a root name; the time of the scope stands in for ``now`` when nobody bound it."""

    def probe(scope: Scope) -> Json:
        value = scope.names.get(name, MISSING)
        if value is MISSING and name in _TIMES and scope.now_ms:
            return format_iso(scope.now_ms)
        return value

    return probe


def reader(probe: Evaluator, text: str) -> Evaluator:
    """Reads what ``probe`` finds; ``text`` is the path as written."""

    def read(scope: Scope) -> Json:
        value = probe(scope)
        if value is MISSING:
            scope.report_unresolved(text)
            return None
        return value

    return read


def quiet(probe: Evaluator) -> Evaluator:
    """Reads what ``probe`` finds and takes no note of a path that leads nowhere."""

    def read(scope: Scope) -> Json:
        value = probe(scope)
        return None if value is MISSING else value

    return read


def fixed_reader(name: str, keys: tuple[str, ...], probe: Evaluator, text: str) -> Evaluator:
    """`reader` for a name and fixed keys, fast where the path leads somewhere.

    Only values that exist take the fast way: subscripts with a string fail on anything but an object that has the key
    (lists and strings refuse strings), so it cannot find more than ``probe`` does. ``output`` that is only an alias
    is absent there too.
    """
    slow = reader(probe, text)

    def read(scope: Scope) -> Json:
        try:
            value = scope.names[name]
            for key in keys:
                value = value[key]
        except (KeyError, TypeError):
            return slow(scope)
        return value

    def read_name(scope: Scope) -> Json:
        try:
            return scope.names[name]
        except KeyError:
            return slow(scope)

    def read_one(scope: Scope) -> Json:
        try:
            return scope.names[name][key]
        except (KeyError, TypeError):
            return slow(scope)

    def read_two(scope: Scope) -> Json:
        try:
            return scope.names[name][key][second]
        except (KeyError, TypeError):
            return slow(scope)

    if not keys:
        return read_name
    key, second = keys[0], keys[-1]
    return read_one if len(keys) == 1 else read_two if len(keys) == 2 else read


def path_probe(base: Evaluator, steps: tuple[Step, ...], name: str | None = None) -> Evaluator:
    """Walks ``steps`` from ``base``. With ``name`` the first step is ``output`` on that name, which may be an alias
    of nothing."""

    def probe(scope: Scope) -> Json:
        value = base(scope)
        for step in steps:
            if value is MISSING:
                return MISSING
            value = step(scope, value)
        return value

    if name is None:
        return probe
    rest = path_probe(base, steps[1:])

    def probe_output(scope: Scope) -> Json:
        value = base(scope)
        if name in scope.outputs and not (type(value) is dict and "output" in value):
            return rest(scope)
        return probe(scope)

    return probe_output


def key_step(key: str) -> Step:
    def step(_: Scope, value: Json) -> Json:
        return value.get(key, MISSING) if type(value) is dict else MISSING

    return step


def index_step(index: Evaluator) -> Step:
    """An integer picks from a list (negative from the end), a string from an object."""

    def step(scope: Scope, value: Json) -> Json:
        at = index(scope)
        if type(value) is dict:
            return value.get(at, MISSING) if type(at) is str else MISSING
        if type(value) is not list:
            return MISSING
        if type(at) is float and at.is_integer():
            at = int(at)
        if type(at) is not int or not -len(value) <= at < len(value):
            return MISSING
        return value[at]

    return step


def star_step(steps: tuple[Step, ...], cost: int) -> Step:
    """The rest of the path on every element of a list or value of an object; elements that have no such path are
    left out. ``cost``: steps per element."""

    def step(scope: Scope, value: Json) -> Json:
        if type(value) is not list and type(value) is not dict:
            return MISSING
        scope.charge(len(value) * cost)
        found = []
        for element in value.values() if isinstance(value, dict) else value:
            at = element
            for following in steps:
                at = following(scope, at)
                if at is MISSING:
                    break
            else:
                found.append(at)
        return found

    return step
