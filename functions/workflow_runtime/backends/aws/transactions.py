"""Writes of other tables in the words of DynamoDB's low-level client, and what a cancelled transaction says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.faults import error_code
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import ConditionFailed, EffectRefused, TableWrite

CANCELLED = "TransactionCanceledException"
_FAILED = "ConditionalCheckFailed"
_WRONG = frozenset({"ValidationError", "ItemCollectionSizeLimitExceeded"})
_NOT_ALLOWED = frozenset({"AccessDeniedException", "AccessDenied"})
_Values = dict[str, Any]


def row_of_json(value: Json) -> _Values:
    """A JSON value with DynamoDB's types."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int():
            return {"N": str(value)}
        case float():
            return {"N": repr(value)}
        case list():
            return {"L": [row_of_json(each) for each in value]}
    return {"M": {name: row_of_json(each) for name, each in value.items()}}


def action_of(write: TableWrite) -> _Values:
    """The write as an entry of TransactWriteItems."""
    names: dict[str, str] = {}
    values: _Values = {}
    condition = _condition(write, names, values)
    action: _Values = {"TableName": write.table}
    if write.put is not None:
        kind = "Put"
        action["Item"] = {name: row_of_json(value) for name, value in {**write.key, **write.put}.items()}
    else:
        kind = "Delete" if write.delete else "Update"
        action["Key"] = {name: row_of_json(value) for name, value in write.key.items()}
    if kind == "Update":
        action["UpdateExpression"] = _update(write, names, values)
    if condition:
        action["ConditionExpression"] = condition
    if names:
        action["ExpressionAttributeNames"] = names
    if values:
        action["ExpressionAttributeValues"] = values
    return {kind: action}


def _naming(names: dict[str, str]) -> Callable[[str], str]:
    def name(attribute: str) -> str:
        placeholder = f"#{len(names)}"
        names[placeholder] = attribute
        return placeholder

    return name


def _valuing(values: _Values) -> Callable[[Json], str]:
    def value(given: Json) -> str:
        placeholder = f":{len(values)}"
        values[placeholder] = row_of_json(given)
        return placeholder

    return value


def _condition(write: TableWrite, names: dict[str, str], values: _Values) -> str:
    name, value = _naming(names), _valuing(values)
    match write.needs:
        case None:
            return ""
        case "absent":
            return f"attribute_not_exists({name(next(iter(write.key)))})"
        case "present":
            return f"attribute_exists({name(next(iter(write.key)))})"
    return " AND ".join(f"{name(attribute)} = {value(wanted)}" for attribute, wanted in write.needs.items())


def _update(write: TableWrite, names: dict[str, str], values: _Values) -> str:
    name, value = _naming(names), _valuing(values)
    parts = []
    if write.set:
        sets = ", ".join(f"{name(attribute)} = {value(new)}" for attribute, new in write.set.items())
        parts.append(f"SET {sets}")
    if write.add:
        parts.append(
            "ADD " + ", ".join(f"{name(attribute)} {value(number)}" for attribute, number in write.add.items())
        )
    if write.remove:
        parts.append(f"REMOVE {', '.join(map(name, write.remove))}")
    return " ".join(parts)


def check_cancelled(error: ClientError, puts: int, write: TableWrite | None) -> None:
    """Raises what a failed transaction of so many ``puts``, with or without a ``write`` behind them, has failed for, if
    that stays so: `ConditionFailed`, `EffectRefused`, `ValueError` for what a table never takes of ``puts``. All else
    may pass."""
    code = error_code(error)
    if code == CANCELLED:
        reasons: Sequence[Mapping[str, Any]] = error.response.get("CancellationReasons", [])
        codes = [str(reason.get("Code", "None")) for reason in reasons]
        if _FAILED in codes[:puts]:
            raise ConditionFailed("a transaction: a condition does not hold") from error
        if wrong := next((reason for reason in reasons[:puts] if reason.get("Code") in _WRONG), None):
            raise ValueError(f"a transaction: {wrong.get('Message', '')}") from error
        if write is not None and len(codes) > puts:
            _check_reason(write, codes[puts], str(reasons[puts].get("Message", "")), error)
    elif write is not None and code == "ResourceNotFoundException":
        raise EffectRefused("not_found", f"there is no table {write.table}") from error
    elif write is not None and code in _NOT_ALLOWED:
        message = f"table {write.table}: the role of this worker pool may not write it"
        raise EffectRefused("not_allowed", message) from error
    elif write is not None and code == "ValidationException":
        raise EffectRefused("validation_error", f"table {write.table}: {_said(error)}") from error


def _check_reason(write: TableWrite, code: str, message: str, error: ClientError) -> None:
    if code == _FAILED:
        raise EffectRefused("condition_failed", f"table {write.table}: the item is not as `needs` says") from error
    if code in _WRONG:
        raise EffectRefused("validation_error", f"table {write.table}: {message}") from error


def _said(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
