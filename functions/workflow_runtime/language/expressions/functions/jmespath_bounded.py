"""JMESPath with the scope's budgets: every visit is a step, and what could double with each stage is paid or refused
before it grows.

Queries build lists that share parts (``[@, @] | [@, @] | …``), so anything that walks a value by itself (equality,
``contains``, ``to_string``) is replaced by the walks of `values`, which pay per element.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from math import isfinite
from typing import Any

from jmespath import functions
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.conversions import number
from workflow_runtime.language.expressions.limits import RESULT_BYTES_MAX
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import TOO_LARGE, check_text, equals, json_text, kind
from workflow_runtime.language.json_values import Json

_ORDER = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


def search(query: str, value: Json, scope: Scope) -> Json:
    """The query's result. Raises `EvaluationError` for the bounds, jmespath's own errors for the rest."""
    result = _Interpreter(scope).visit(Parser().parse(query).parsed, value)
    if kind(result) == "number" and not isfinite(result):
        raise EvaluationError("the result is not a finite number")
    return result


class _Functions(functions.Functions):
    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        for argument in resolved_args:
            if isinstance(argument, list | dict):
                self._scope.charge(len(argument))
            elif isinstance(argument, str):
                self._scope.charge_text(len(check_text(argument)))
        return super().call_function(function_name, resolved_args)

    @functions.signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, array: list[str]) -> str:
        size = len(separator) * len(array) + sum(map(len, array))
        if size > RESULT_BYTES_MAX:
            raise EvaluationError(TOO_LARGE)
        self._scope.charge_text(size)
        return check_text(separator.join(array))

    @functions.signature({"types": []})
    def _func_to_string(self, arg: Any) -> str:
        return arg if isinstance(arg, str) else json_text(arg, self._scope)

    @functions.signature({"types": []})
    def _func_to_number(self, arg: Any) -> Any:
        if isinstance(arg, bool) or not isinstance(arg, str | int | float):
            return None
        try:
            return number(self._scope, arg)
        except EvaluationError:
            return None

    @functions.signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: Any) -> bool:
        if isinstance(subject, str):
            return isinstance(search, str) and search in subject
        return any(equals(element, search, self._scope) for element in subject)


class _Interpreter(TreeInterpreter):
    def __init__(self, scope: Scope) -> None:
        super().__init__(Options(custom_functions=_Functions(scope)))
        self._scope = scope

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self._scope.charge(1)
        return super().visit(node, *args, **kwargs)

    def visit_comparator(self, node: Any, value: Json) -> Any:
        left, right = (self.visit(child, value) for child in node["children"])
        if node["value"] in ("eq", "ne"):
            return equals(left, right, self._scope) == (node["value"] == "eq")
        kinds = {kind(left), kind(right)}
        return _ORDER[node["value"]](left, right) if kinds in ({"number"}, {"string"}) else None

    def visit_flatten(self, node: Any, value: Json) -> Any:
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        merged: list[Json] = []
        for element in base:
            if isinstance(element, list):
                self._scope.charge(1 + len(element))
                merged.extend(element)
            else:
                self._scope.charge(1)
                merged.append(element)
        return merged

    def visit_slice(self, node: Any, value: Json) -> Any:
        if isinstance(value, list):
            self._scope.charge(len(value))
        return super().visit_slice(node, value)
