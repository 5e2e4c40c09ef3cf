"""Random expressions over large data: each ends within its bounds, with a value or an error of the language."""

from __future__ import annotations

import resource
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest
from tests.fuzz.campaign import SECONDS, campaign
from tests.recursion import calls_left

from workflow_runtime.language.expressions import EvaluationError, ExpressionSyntaxError, Scope, compile_expression
from workflow_runtime.language.expressions.functions import FUNCTIONS, ITEM_FUNCTIONS
from workflow_runtime.language.expressions.limits import MEMORY_BYTES_MAX, RESULT_BYTES_MAX
from workflow_runtime.language.json_values import Json

SIZE = 100_000
MODULUS = 2**61 - 1  # of Python's hash of numbers
SECONDS_MAX = 3.0  # of CPU: steps take a microsecond or less, on a machine that does nothing else
CALLS_MAX = 700  # in each other; Python allows 1,000
GROWTH_BYTES_MAX = 6 * MEMORY_BYTES_MAX  # of the process over the whole campaign; data and caches are there before
LITERALS = [
    "0",
    "1",
    "-1",
    "2",
    "10",
    "0.5",
    "9223372036854775807",
    "1e300",
    "''",
    "'a'",
    "','",
    "'é字𠮷'",
    "null",
    "true",
]
PATTERNS = [r"'a+b'", r"'(?i)\pL{9}'", r"'^(a|b)*c$'", r"'['", r"'.*.*.*x'", "p", r"'\pL{3}' + string(item)"]
QUERIES = [
    "'@'",
    "'[*][0]'",
    "'[?@ > `1`]'",
    "'a.b'",
    "'sort(@)'",
    "'[@, @] | [@, @]'",
    "'length(@)'",
    "'max(@)'",
    "'[::-1]'",
]
OPERATORS = ["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "in", "not in", "and", "or", "??"]


@cache
def data() -> dict[str, Json]:
    """Names and their values: few, so that most expressions meet data that fits them."""
    return {
        "numbers": list(range(SIZE)),
        "alike": [1 + MODULUS * (number % 4) for number in range(SIZE)],
        "pairs": [[1 + MODULUS * (number % 4), number % 7] for number in range(SIZE)],
        "texts": [f"text {number}" for number in range(SIZE)],
        "objects": [{"a": number, "b": {"c": "x" * (number % 50)}, "字": [number]} for number in range(SIZE)],
        "lists": [list(range(number % 40)) for number in range(SIZE)],
        "table": {f"k{number}": number for number in range(SIZE)},
        "long": "ab,字𠮷 " * 200_000,
        "encoded": msgspec.json.encode([{"a": [[]] * 9}] * 20_000).decode(),
        "deep": _deep(100),
        "few": [3, 1, 2],
        "p": r"\pL{9}",
        "n": 3,
        "o": {"a": {"b": [1, 2, {"c": None}]}},
    }


def _deep(levels: int) -> Json:
    value: Json = []
    for _ in range(levels - 1):
        value = [value]
    return value


class Grammar:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.names = list(data())

    def expression(self, depth: int, *, item: bool = False) -> str:
        if depth <= 0 or self.random.random() < 0.15:
            return self.leaf(item)
        return getattr(self, self.random.choice(("call",) * 6 + ("path",) * 3 + ("binary",) * 3 + ("made", "choice")))(
            depth - 1, item
        )

    def leaf(self, item: bool) -> str:
        if item and self.random.random() < 0.6:
            return self.random.choice(("item", "item", "item.a", "item[0]", "item.b.c"))
        return self.random.choice(self.names) if self.random.random() < 0.7 else self.random.choice(LITERALS)

    def call(self, depth: int, item: bool) -> str:
        name = self.random.choice(list(FUNCTIONS))
        if name in ITEM_FUNCTIONS:
            return f"{name}({self.expression(depth, item=item)}, {self.expression(depth, item=True)})"
        function = FUNCTIONS[name]
        most = function.most if function.most >= 0 else 4
        arguments = [self.expression(depth, item=item) for _ in range(self.random.randint(function.least, most))]
        if name == "matches":
            arguments[1] = self.random.choice(PATTERNS)
        if name == "jmespath":
            arguments[1] = self.random.choice(QUERIES)
        return f"{name}({', '.join(arguments)})"

    def path(self, depth: int, item: bool) -> str:
        steps = (".a", ".b.c", "[0]", "[-1]", ".*", ".*.*", ".*[0]", f"[{self.expression(depth, item=item)}]")
        return f"({self.expression(depth, item=item)})" + "".join(
            self.random.choices(steps, k=self.random.randint(1, 3))
        )

    def binary(self, depth: int, item: bool) -> str:
        operands = [self.expression(depth, item=item) for _ in range(self.random.randint(2, 5))]
        joined = operands[0]
        for operand in operands[1:]:
            joined += f" {self.random.choice(OPERATORS)} {operand}"
        return f"({joined})"

    def made(self, depth: int, item: bool) -> str:
        parts = [self.expression(depth, item=item) for _ in range(self.random.randint(0, 6))]
        if self.random.random() < 0.5:
            return f"[{', '.join(parts)}]"
        return "{" + ", ".join(f"k{place}: {part}" for place, part in enumerate(parts)) + "}"

    def choice(self, depth: int, item: bool) -> str:
        condition, one, other = (self.expression(depth, item=item) for _ in range(3))
        return f"({condition} ? {one} : {other})"


def take(random: Random) -> str:
    source = Grammar(random).expression(random.randint(1, 6))
    scope = Scope(dict(data()), now_ms=1_800_000_000_000)
    try:
        with calls_left(CALLS_MAX):
            expression = compile_expression(source)
            value = expression.evaluate(scope)
    except ExpressionSyntaxError:
        return "no expression"
    except EvaluationError:
        return "an error"
    if expression.computes:
        assert len(msgspec.json.encode(value)) <= 8 * RESULT_BYTES_MAX  # escapes are not counted
    return "a value"


@pytest.mark.timeout(SECONDS + 120)
def test_expressions_over_large_data_end_within_their_bounds() -> None:
    data()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: Any = campaign(take, SECONDS_MAX)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < GROWTH_BYTES_MAX, f"{grown >> 20} MiB"
    if counts.total() > 100:
        assert counts["a value"] > counts.total() // 5, counts
    print(counts)
