"""The JSON Schema of workflow files, for editors: rendered from the models, with aliases and ``config:`` forms.

It accepts what the loader accepts and catches most of what it refuses; the loader has the last word.
`frontends.schemas` writes it to files, with those of agents, tools and mocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind, models_json_schema

from workflow_runtime.definition.charts.actions import ACTIONS
from workflow_runtime.definition.loader import NOT_DEFAULTS
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import CONTROL_TYPES, NODE_TYPES, SUBTYPES, TYPES
from workflow_runtime.definition.reading import Model
from workflow_runtime.definition.triggers import TRIGGERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_IGNORED: dict[str, Any] = {"^x-": {}}
_NULL = {"type": "null"}


class _Generator(GenerateJsonSchema):
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default", "skipped-choice"}  # noqa: RUF012


def json_schema() -> dict[str, Any]:
    """The schema of a whole file."""
    models = sorted({*_subclasses(Model)}, key=lambda model: model.__name__)
    _, rendered = models_json_schema([(model, "validation") for model in models], schema_generator=_Generator)
    written = rendered["$defs"]
    definitions = {model.__name__: _open(model, written[model.__name__]) for model in models}
    common = definitions.pop("NodeDefinition")["properties"]
    for model in _subclasses(NodeDefinition):
        own = definitions[model.__name__]["properties"]
        own |= {name: {"$ref": f"#/$defs/common_{name}"} for name in own if own[name] == common.get(name)}
    definitions |= {f"common_{name}": schema for name, schema in common.items()}
    definitions["Node"] = _node_choice()
    definitions["Action"] = _action_choice()
    state = definitions["StateDefinition"]
    named = {key: value for key, value in state.items() if key != "allOf"}  # the name is the key
    definitions["NamedState"] = {**named, "type": ["object", "null"]}
    definitions["Trigger"] = _choice("type", {kind: model.__name__ for kind, model in TRIGGERS.items()})
    workflow = definitions["WorkflowDefinition"]["properties"]
    workflow["nodes"] = _listed("Node", workflow["nodes"])
    workflow["triggers"] = {**_listed("Trigger", workflow["triggers"]), "type": ["array", "object", "null"]}
    workflow["defaults"] = _defaults(definitions)
    definitions["common_compensate"]["type"] = ["string", "object", "null"]
    return {
        "$schema": DIALECT,
        "title": "Workflow definition",
        "description": "One workflow; see definitions/README.md.",
        "type": "object",
        "properties": {"workflow": {"$ref": "#/$defs/WorkflowDefinition"}},
        "patternProperties": _IGNORED,
        "required": ["workflow"],
        "additionalProperties": False,
        "$defs": {name: _with_references(definitions[name]) for name in sorted(definitions)},
    }


def _with_references(schema: Any) -> Any:
    """``schema`` with the marks of models that are chosen by a word (``x-ref``) as references to them."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        "$ref" if key == "x-ref" else key: f"#/$defs/{item}" if key == "x-ref" else _with_references(item)
        for key, item in schema.items()
    }


def _subclasses(model: type[Model]) -> Iterable[type[Model]]:
    for child in model.__subclasses__():
        if child.__module__.startswith("workflow_runtime."):
            yield child
            yield from _subclasses(child)


def _open(model: type[Model], rendered: dict[str, Any]) -> dict[str, Any]:
    """A model's schema in written form: aliases, ``config:``, ``x-…`` keys, and null for "not given"."""
    by_canonical: dict[str, list[str]] = {}
    for written, canonical in model.aliases.items():
        by_canonical.setdefault(canonical, []).append(written)
    properties: dict[str, Any] = {}
    for name, schema in rendered["properties"].items():
        schema = {key: value for key, value in schema.items() if key != "default"}
        for written in ([] if name in model.hidden else [name]) + by_canonical.get(name, []):
            title = written.replace("_", " ").capitalize()
            properties[written] = {**_nullable(schema), "title": title}
            if written != name and name not in model.hidden:
                properties[written]["description"] = f"Same as `{name}`. {schema.get('description', '')}".strip()
    required = [{"anyOf": _ways(model, name, by_canonical.get(name, []))} for name in rendered.get("required", [])]
    if model.has_config:
        inner = [name for name in properties if name not in ("id", "type")]
        properties["config"] = {
            "type": ["object", "null"],
            "description": "Fields of this type may also stand here.",
            "properties": {name: {"$ref": f"#/$defs/{model.__name__}/properties/{name}"} for name in inner},
            "patternProperties": _IGNORED,
            "additionalProperties": False,
        }
    schema = {
        "type": "object",
        "title": model.noun.replace("`", "").removeprefix("a ").removeprefix("an ").capitalize(),
        "description": (model.__doc__ or "").split("\n")[0].replace("``", "`"),
        "properties": properties,
        "patternProperties": _IGNORED,
        "additionalProperties": {"$ref": f"#/$defs/{model.others.__name__}"} if model.others is not None else False,
    }
    return {**schema, "allOf": required} if required else schema


def _ways(model: type[Model], name: str, aliases: list[str]) -> list[dict[str, Any]]:
    names = ([] if name in model.hidden else [name]) + aliases
    ways: list[dict[str, Any]] = [{"required": [written]} for written in names]
    if model.has_config and name not in ("id", "type"):
        ways += [
            {"required": ["config"], "properties": {"config": {"type": "object", "required": [written]}}}
            for written in names
        ]
    return ways


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Null means "not given" wherever it is not a value."""
    notes = {key: value for key, value in schema.items() if key in ("description", "title")}
    bare = {key: value for key, value in schema.items() if key not in notes}
    if not bare:
        return notes
    choices = bare["anyOf"] if set(bare) == {"anyOf"} else [bare]
    return {"anyOf": [*choices, *([] if _NULL in choices else [_NULL])], **notes}


def _choice(field: str, names: dict[str, str]) -> dict[str, Any]:
    """One of the definitions ``names``, by the word in ``field``: editors then complain about the right one only."""
    return {
        "type": "object",
        "properties": {field: {"enum": list(names)}},
        "required": [field],
        "allOf": [_when({field: {"const": word}}, [field], name) for word, name in names.items()],
    }


def _when(properties: dict[str, Any], required: list[str], name: str) -> dict[str, Any]:
    return {"if": {"properties": properties, "required": required}, "then": {"$ref": f"#/$defs/{name}"}}


def _node_choice() -> dict[str, Any]:
    names = {kind: NODE_TYPES[kind].__name__ for kind in TYPES if kind in NODE_TYPES}
    choice = _choice("type", names)
    choice["properties"]["type"]["enum"] = [*names, "control"]
    for word in SUBTYPES:
        model = CONTROL_TYPES[word]
        control = {"type": {"const": "control"}}
        nested = {"type": "object", "properties": {"subtype": {"const": word}}, "required": ["subtype"]}
        choice["allOf"] += [
            _when({**control, "subtype": {"const": word}}, ["type", "subtype"], model.__name__),
            _when({**control, "config": nested}, ["type", "config"], model.__name__),
        ]
    return choice


def _action_choice() -> dict[str, Any]:
    """An action in its three forms: by ``type``, with ``params`` or without; and by a key that is its kind."""
    kinds = list(ACTIONS)
    by_type = {"type": {"enum": kinds}}
    choice: dict[str, Any] = {
        "type": "object",
        "anyOf": [{"required": ["type"]}, *({"required": [kind]} for kind in kinds)],
        "properties": by_type,
        "allOf": [],
    }
    for kind, model in ACTIONS.items():
        name = model.__name__
        fields = {field: {"$ref": f"#/$defs/{name}/properties/{field}"} for field in model.written_names()}
        closed = {"patternProperties": _IGNORED, "additionalProperties": False}
        params = {"type": ["object", "null"], "properties": fields, **closed}
        flat = {"properties": {**fields, **by_type, "params": params}, **closed}
        short = [fields[model.short]] if model.short else []
        keyed = {"properties": {**fields, kind: {"anyOf": [params, *short]}}, **closed}
        choice["allOf"] += [
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": flat},
            {"if": {"required": [kind], "not": {"required": ["type"]}}, "then": keyed},
        ]
    return choice


def _listed(name: str, written: dict[str, Any]) -> dict[str, Any]:
    notes = {key: value for key, value in written.items() if key in ("title", "description")}
    reference = {"$ref": f"#/$defs/{name}"}
    if name == "Trigger":
        return {**notes, "if": {"type": "object"}, "then": reference, "else": {"items": reference}}
    return {**notes, "type": ["array", "null"], "items": reference}


def _defaults(definitions: dict[str, Any]) -> dict[str, Any]:
    per_type = {}
    models = {**NODE_TYPES, "control": CONTROL_TYPES["pass"]}
    for kind in TYPES:
        model = models[kind]
        names = [name for name in definitions[model.__name__]["properties"] if name not in NOT_DEFAULTS]
        per_type[kind] = {
            "type": ["object", "null"],
            "properties": {name: {"$ref": f"#/$defs/{model.__name__}/properties/{name}"} for name in names},
            "patternProperties": _IGNORED,
            "additionalProperties": False,
        }
    return {
        "type": ["object", "null"],
        "title": "Defaults",
        "description": "Per node type: fields of nodes that do not say otherwise.",
        "properties": per_type,
        "patternProperties": _IGNORED,
        "additionalProperties": False,
    }
