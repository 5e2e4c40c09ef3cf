"""The API's OpenAPI 3.1 document, made from the routes and the models.

``python -m workflow_runtime.frontends.api.openapi`` rewrites ``definitions/openapi.json``; ``--check`` says whether
it is current (exit code 1: stale).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from workflow_runtime.frontends.api import chart_models, models, operator_models
from workflow_runtime.frontends.api.agents import AGENT_BODY
from workflow_runtime.frontends.api.application import Application
from workflow_runtime.frontends.api.control import CONTROL_BODIES, control_body
from workflow_runtime.frontends.api.problems import PROBLEM_TYPE
from workflow_runtime.frontends.api.route import Route
from workflow_runtime.frontends.api.routes import (
    BULK_BODY,
    CONTROL_BODY,
    EVENT_BODY,
    HOOK_BODY,
    SOURCE_BODY,
    START_BODY,
    content_types,
)
from workflow_runtime.runtime.services import Runtime

TARGET = Path(__file__).parents[4] / "definitions" / "openapi.json"
TITLE = "Agent Workflow Runtime"
VERSION = "1"
DESCRIPTION = (
    "Workflows of agents and tools: publish definitions, start executions, follow them. Answers that are too large "
    "name what they leave out (`truncated`). Errors are problem documents (RFC 9457)."
)
SCHEMAS = "#/components/schemas/"
PROBLEMS = {
    400: "The body cannot be read",
    401: "The request is not signed, or not correctly",
    403: "The caller may not do this",
    404: "There is no such resource",
    405: "The resource does not take this method",
    409: "The request conflicts with what is there",
    412: "The latest version is not the one that the request expects",
    413: "The body is too large",
    415: "The body's type is not supported",
    416: "The range lies outside the value",
    422: "The request or the definition is not valid",
    429: "There are too many of these already",
    500: "A fault of the service",
    503: "The service cannot answer at the moment",
}
ALWAYS = (500, 503)
DEFINITION_SCHEMA = {"description": "A workflow definition; `workflow.schema.json` says what it may hold."}
AGENT_SCHEMA = {"description": "The definition of one agent; `agents.schema.json` says what it may hold."}
HOOK_SCHEMA = {"description": "Anything; the trigger's `input` makes the execution's input of it."}
CONDITIONS = {
    "If-Match": "ETags (or `*`) of which the latest version must be one.",
    "If-None-Match": "ETags (or `*`) of which the latest version must be none.",
}


def openapi_document() -> dict[str, Any]:
    application = Application(cast("Runtime", None))  # its routes are described, not called
    text = application.resolver.get_openapi_json_schema(title=TITLE, version=VERSION, description=DESCRIPTION)
    document: dict[str, Any] = json.loads(text)
    paths: dict[str, Any] = {}
    for route in application.routes:
        path = route.rule.replace("<", "{").replace(">", "}")
        operation = document["paths"][path][route.method.lower()]
        paths.setdefault(path, {})[route.method.lower()] = _completed(route, operation)
    _, own = models_json_schema(
        [
            (models.ProblemModel, "serialization"),
            (models.StartRequest, "validation"),
            (models.EventRequest, "validation"),
            (operator_models.ControlRequest, "validation"),
            (operator_models.BulkRequest, "validation"),
            *((model, "validation") for model in CONTROL_BODIES.values()),
            *((route.body_model, "validation") for route in application.routes if route.body_model is not None),
            (chart_models.Truncated, "serialization"),
        ],
        ref_template=SCHEMAS + "{model}",
    )
    schemas = document["components"]["schemas"] | own["$defs"]
    for name in ("HTTPValidationError", "ResponseValidationError", "ValidationError"):
        del schemas[name]
    document["components"] = {"schemas": dict(sorted(schemas.items()))}
    document["paths"] = paths
    return document


def _completed(route: Route, operation: dict[str, Any]) -> dict[str, Any]:
    """What Powertools does not know: bodies, conditional headers, problems."""
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _without_null(parameter["schema"])
    parameters += [
        {"name": name, "in": "header", "required": False, "description": CONDITIONS[name], "schema": {"type": "string"}}
        for name in route.conditions
    ]
    if not parameters:
        del operation["parameters"]
    if route.body is not None:
        schema = (
            {"$ref": SCHEMAS + route.body_model.__name__}
            if route.body_model is not None
            else {
                SOURCE_BODY: DEFINITION_SCHEMA,
                AGENT_BODY: AGENT_SCHEMA,
                START_BODY: {"$ref": SCHEMAS + "StartRequest"},
                EVENT_BODY: {"$ref": SCHEMAS + "EventRequest"},
                BULK_BODY: {"$ref": SCHEMAS + "BulkRequest"},
                CONTROL_BODY: {"$ref": SCHEMAS + _control_body(route).__name__},
                HOOK_BODY: HOOK_SCHEMA,
            }[route.body]
        )
        content = {media_type: {"schema": schema} for media_type in content_types(route.body)}
        operation["requestBody"] = {"required": _is_body_required(route), "content": content}
    answers = operation["responses"]
    answers.pop("422", None)
    for status in (*route.problems, *ALWAYS):
        content = {PROBLEM_TYPE: {"schema": {"$ref": SCHEMAS + "ProblemModel"}}}
        answers[str(status)] = {"description": PROBLEMS[status], "content": content}
    operation["responses"] = dict(sorted(answers.items()))
    return operation


def _is_body_required(route: Route) -> bool:
    model = _control_body(route) if route.body == CONTROL_BODY else route.body_model
    if model is not None:
        return any(field.is_required() for field in model.model_fields.values())
    return route.body in (SOURCE_BODY, AGENT_BODY, EVENT_BODY)


def _control_body(route: Route) -> type[BaseModel]:
    return control_body(route.rule.rpartition("/")[2])


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not there, never null."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **options[0]}


def rendered() -> str:
    return json.dumps(openapi_document(), ensure_ascii=False, indent=2) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the document, or with ``--check`` compare it."""
    text = rendered()
    if "--check" in (sys.argv[1:] if arguments is None else arguments):
        return 0 if TARGET.is_file() and TARGET.read_text("utf-8") == text else 1
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
