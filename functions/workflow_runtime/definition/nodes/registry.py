"""Types of node by their words in a document, and how a written node finds its own.

Classes register here with `node_type` and `control_type`; readers of a node look it up here. So nodes may hold
nodes (as compensations, in states) without any module importing those that build on it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.reading import Model, Reading, kind_of, problem, with_common_fields
from workflow_runtime.language.suggestions import did_you_mean, nearest
from workflow_runtime.language.texts import quoted

TYPES = ("agent", "tool", "control", "aggregation", "sub_workflow", "state_machine")
SUBTYPES = ("switch", "condition", "parallel", "pass", "fail", "succeed", "loop", "wait", "approval")
"""What control nodes there are. Words are listed here in the order in which messages and the schema show them; the
models below come in the order in which modules happen to be imported."""

NODE_TYPES: dict[str, type[Model]] = {}
"""Models by `type`; `control` is not among them, for its nodes are told apart by their subtype."""
CONTROL_TYPES: dict[str, type[Model]] = {}
"""Models of control nodes by `subtype`."""

ModelT = TypeVar("ModelT", bound=type[Model])
_common: list[type[Model]] = []


def common_model(model: ModelT) -> ModelT:
    """Class decorator: the model of what nodes of all types have in common, for nodes of unknown type."""
    _common[:] = [model]
    return model


def node_type(word: str) -> Callable[[ModelT], ModelT]:
    """Class decorator: the model of nodes of this `type`."""
    return _registering(NODE_TYPES, word)


def control_type(word: str) -> Callable[[ModelT], ModelT]:
    """Class decorator: the model of control nodes of this `subtype`."""
    return _registering(CONTROL_TYPES, word)


def _registering(models: dict[str, type[Model]], word: str) -> Callable[[ModelT], ModelT]:
    def register(model: ModelT) -> ModelT:
        models[word] = model
        return model

    return register


def node_model(value: Mapping[str, Any]) -> type[Model]:
    """The model for a written node. Raises the finding for a missing or unknown type or subtype."""
    kind = value.get("type")
    if kind is None:
        _refuse_slip(value, "type")
        guess = next((name for name in ("agent", "tool") if name in value or f"{name}_id" in value), None)
        hint = f"Add `type: {guess}`." if guess else f"One of {', '.join(TYPES)}."
        raise problem(rules.REQUIRED, "the node has no `type`", hint)
    if not isinstance(kind, str) or kind not in TYPES:
        shown = quoted(kind) if isinstance(kind, str) else kind_of(kind)
        known = isinstance(kind, str) and kind in SUBTYPES
        control_hint = f"Write `type: control` and `subtype: {kind}`."
        known_hint = control_hint if known else did_you_mean(str(kind), TYPES)
        raise problem(rules.UNKNOWN_TYPE, f"{shown} is not a type of node", known_hint, ("type",))
    return _control_model(value) if kind == "control" else NODE_TYPES[kind]


def _control_model(value: Mapping[str, Any]) -> type[Model]:
    nested = value.get("config")
    subtype = value.get("subtype", nested.get("subtype") if isinstance(nested, dict) else None)
    if subtype is None:
        _refuse_slip(value, "subtype")
        if isinstance(nested, dict):
            _refuse_slip(nested, "subtype", "config")
        raise problem(rules.REQUIRED, "the control node has no `subtype`", f"One of {', '.join(SUBTYPES)}.")
    if not isinstance(subtype, str) or subtype not in CONTROL_TYPES:
        shown = quoted(subtype) if isinstance(subtype, str) else kind_of(subtype)
        text = f"{shown} is not a subtype of control nodes"
        raise problem(rules.UNKNOWN_TYPE, text, did_you_mean(str(subtype), SUBTYPES), ("subtype",))
    return CONTROL_TYPES[subtype]


def _refuse_slip(value: Mapping[str, Any], field: str, *prefix: str) -> None:
    """Raise the finding for a misspelt ``field``, which is then not missing."""
    near = (key for key in value if abs(len(key) - len(field)) <= 3 and key not in _common[0].model_fields)
    slip = next((key for key in near if nearest(key, [field])), None)
    if slip is not None:
        text = f"{quoted(slip)} is not a field of a node"
        raise problem(rules.UNKNOWN_FIELD, text, f"Did you mean `{field}`?", (*prefix, slip))


def read_node(value: Any, info: ValidationInfo) -> Model:
    """The node of the class that its type names; if there is none, its common fields are checked all the same."""
    common = _common[0]
    if isinstance(value, common):
        return value
    reading = info.context if isinstance(info.context, Reading) else None
    if reading is not None and reading.problems > reading.limit:
        return common.model_construct()
    if not isinstance(value, dict):
        raise problem(
            rules.WRONG_KIND, f"a node must be a mapping, not {kind_of(value)}", "Write `- id: …` and its fields below."
        )
    try:
        chosen = node_model(value)
    except PydanticCustomError as error:
        raise with_common_fields(common, value, error, reading) from None
    node = chosen.model_validate(value, context=reading)
    if reading is not None:
        reading.sound[id(value)] = node
    return node


def recovered_node(value: Any, wrong: Collection[str], shown_id: str, reading: Reading) -> Model:
    """A best effort at a node with ``wrong`` fields: of the common model if it cannot be typed.

    Without a sound id it is called ``shown_id``. A node that was read without problems is given as it was.
    """
    sound = reading.sound.get(id(value))
    if isinstance(sound, _common[0]):
        return sound
    chosen = _common[0]
    fields: dict[str, Any] = {}
    if isinstance(value, dict):
        with suppress(PydanticCustomError):
            chosen = node_model(value)
        fields = chosen.with_defaults(chosen.canonical(value)[0], reading)
    kept = {
        name: item
        for name, item in fields.items()
        if (name not in wrong or name in chosen.recoveries) and (item is not None or name in chosen.keeps_null)
    }
    node = chosen.recovered(kept, reading)
    return node if getattr(node, "id", "") else node.model_copy(update={"id": shown_id})
