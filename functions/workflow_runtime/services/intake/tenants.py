"""What is fixed at the start of an execution about limits: whom it is for, and its part in limiters with a key."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.errors import RequestError
from workflow_runtime.language.expressions import EvaluationError, ExpressionSyntaxError, compile_template
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.limiters import Limiter, Share
from workflow_runtime.plan.plan import Plan

TENANT_CHARS_MAX = 128
KEY_CHARS_MAX = 256
WEIGHT_MAX = 10
KINDS = {"tenant": BindingKind.LOCAL, "input": BindingKind.INPUT, "variables": BindingKind.VARIABLES}
"""Of names in the template of a shared limiter that are neither a variable nor a key of the input."""


def tenant_of(plan: Plan, view: View) -> str:
    """Whom the execution is for; "" if the workflow does not say. Raises `RequestError` (``invalid_input``)."""
    if plan.limits.tenant is None:
        return ""
    tenant = _text(_value(plan.limits.tenant, view, "", "tenant"))
    if len(tenant) > TENANT_CHARS_MAX:
        raise RequestError("invalid_input", f"the tenant has {len(tenant)} characters, more than {TENANT_CHARS_MAX}")
    return tenant


def shares_of(plan: Plan, view: View, tenant: str, limiters: Mapping[str, Limiter]) -> dict[str, Share]:
    """The execution's part in those of its own and of the deployment's ``limiters`` that depend on it. Raises
    `RequestError` (``invalid_input``)."""
    shares: dict[str, Share] = {}
    for name, limiter in {**plan.limits.own, **limiters}.items():
        if not limiter.key and not isinstance(limiter.weight, str):
            if limiter.weight != 1:
                shares[name] = Share(weight=limiter.weight)
            continue
        key = plan.limits.keys.get(name) or _formula(limiter.key)
        weight = plan.limits.weights.get(name) or (
            _formula(limiter.weight) if isinstance(limiter.weight, str) else None
        )
        where = f"limiter {name!r}"
        try:
            value = _text(_value(key, view, tenant, f"the key of {where}")) if key is not None else ""
            number = _value(weight, view, tenant, f"the weight of {where}") if weight is not None else limiter.weight
        except RequestError:
            if name in _named(plan):
                raise
            continue  # it is about the input of others
        shares[name] = Share(value[:KEY_CHARS_MAX], _weight(number))
    return shares


def _named(plan: Plan) -> set[str]:
    """The limiters that the workflow itself names."""
    of_nodes = {name for block in plan.blocks for node in block.nodes for name in node.limiters}
    return of_nodes | {plan.limits.executions, *plan.limits.own}


def _formula(text: str) -> Formula | None:
    """A template of a limiter that all workflows share: its names are those of input, variables and the tenant."""
    if not text:
        return None
    try:
        compiled = compile_template(text)
    except ExpressionSyntaxError as error:
        raise RequestError("invalid_input", f"a limiter's template is wrong: {error.message}") from error
    names = dict.fromkeys(reference.name for reference in compiled.references)
    return Formula(text, tuple(Binding(name, KINDS.get(name, BindingKind.SCOPED)) for name in names)).ready(compiled)


def _value(formula: Formula, view: View, tenant: str, what: str) -> Json:
    try:
        return evaluate(formula, view, {"tenant": tenant})
    except EvaluationError as error:
        raise RequestError("invalid_input", f"{what}: {error}") from error


def _text(value: Json) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _weight(value: Json) -> int:
    return min(max(int(value), 1), WEIGHT_MAX) if isinstance(value, (int, float)) else 1
