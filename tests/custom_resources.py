"""What the API server of Kubernetes says of custom resources by their definitions in ``infra/kubernetes``."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs
import yaml
from infra.kubernetes.crds import FOLDER

from workflow_runtime.frontends.operator.resources import Kind


def schema_of(kind: Kind) -> dict[str, Any]:
    """The structural schema of a kind's objects."""
    schema: dict[str, Any] = _versions()[kind.value]["schema"]["openAPIV3Schema"]
    return schema


@cache
def _versions() -> dict[str, Any]:
    crds = yaml.load_all((FOLDER / "crds.yaml").read_text("utf-8"), yaml.CSafeLoader)
    return {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0] for crd in crds}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A structural schema as a JSON Schema that refuses unknown fields, as the server does for `kubectl`."""
    result = {word: value for word, value in schema.items() if not word.startswith("x-kubernetes")}
    result = {word: value for word, value in result.items() if word not in ("nullable", "description", "format")}
    if "properties" in result:
        result["properties"] = {name: strict(value) for name, value in result["properties"].items()}
        if "x-kubernetes-preserve-unknown-fields" not in schema and "type" in schema:
            result["additionalProperties"] = False
    for word in ("items", "additionalProperties", "not"):
        if isinstance(result.get(word), dict):
            result[word] = strict(result[word])
    for word in ("anyOf", "allOf"):
        if word in result:
            result[word] = [strict(part) for part in result[word]]
    return {"anyOf": [{"type": "null"}, result]} if schema.get("nullable") else result


@cache
def validator_of(kind: Kind, part: str) -> jsonschema_rs.Validator:
    """``part``: ``spec`` or ``status``."""
    return jsonschema_rs.validator_for(strict(schema_of(kind)["properties"][part]))


def check(body: dict[str, Any]) -> None:
    """Raises `ValueError` for an object that the server would refuse, or store without some of its fields."""
    if body["kind"] in set(Kind):
        for part in ("spec", "status"):
            if part in body:
                validator_of(Kind(body["kind"]), part).validate(body[part])
