"""What an expression costs: microseconds per evaluation and per compilation, best of several rounds.

python tests/benchmarks/bench_expressions.py [--json] [--smoke]
"""

from __future__ import annotations

import argparse
import json
import sys
import timeit
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "functions"))

from workflow_runtime.language.expressions import Scope, compile_expression, compile_template
from workflow_runtime.language.expressions.expression import compile_tokens
from workflow_runtime.language.expressions.lexer import tokenize

ROUNDS = 7
SECONDS_PER_ROUND = 0.05
GUARD = '${a.b} > 0 and ${c} == "x"'
NAMES: dict[str, Any] = {
    "a": {"b": 3, "tags": ["x", "y"]},
    "c": "x",
    "orders": [{"id": f"o{index}", "total": index} for index in range(1000)],
}
EXPRESSIONS = {
    "guard": GUARD,
    "reference": "a.b",
    "arithmetic": "a.b * 2 + 1",
    "membership": "c in a.tags",
    "default": "a.missing ?? 5",
    "function": "lower(c)",
    "matches": "matches(c, '^x+$')",
    "filter_1000": "filter(orders, item.total > 500)",
    "sum_of_1000": "sum(orders.*.total)",
    "jmespath_1000": "jmespath(orders, '[?total > `500`].id')",
}
TEMPLATES = {
    "template_text": "Order ${c} of ${a.b}",
    "template_object": {"id": "${c}", "amount": "${a.b}", "text": "Order ${c}", "fixed": [1, 2, 3]},
}


def microseconds(action: Any, rounds: int) -> float:
    """Best time of one call, in microseconds."""
    timer = timeit.Timer(action)
    loops = 1
    while (elapsed := timer.timeit(loops)) < SECONDS_PER_ROUND / 10:
        loops *= 5
    loops = max(1, round(loops * SECONDS_PER_ROUND / elapsed))
    return min(timer.repeat(rounds, loops)) / loops * 1e6


def measure(rounds: int) -> dict[str, float]:
    scope = Scope(NAMES)
    figures: dict[str, float] = {}
    for name, source in EXPRESSIONS.items():
        expression = compile_expression(source)
        figures[f"evaluate_{name}_us"] = microseconds(lambda expression=expression: expression.evaluate(scope), rounds)
    for name, value in TEMPLATES.items():
        template = compile_template(value)
        figures[f"evaluate_{name}_us"] = microseconds(lambda template=template: template.evaluate(scope), rounds)
    figures["compile_guard_us"] = microseconds(lambda: compile_tokens(GUARD, tokenize(GUARD)), rounds)
    figures["compile_cached_us"] = microseconds(lambda: compile_expression(GUARD), rounds)
    figures["scope_us"] = microseconds(lambda: Scope(NAMES), rounds)
    return {name: round(value, 3) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="What an expression costs.")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--smoke", action="store_true", help="one round each, to see that it works")
    arguments = parser.parse_args()
    figures = measure(1 if arguments.smoke else ROUNDS)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:32} {value:10.3f}")


if __name__ == "__main__":
    main()
