"""The manifests fit the published schemas and run restricted; custom resources refuse mistakes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import re2
import yaml
from infra.kubernetes.crds import FILES, FOLDER
from infra.kubernetes.structural import Structural
from tests.custom_resources import schema_of, validator_of

from workflow_runtime.compiler import compile_workflow
from workflow_runtime.errors import DefinitionError
from workflow_runtime.frontends.operator.resources import Kind
from workflow_runtime.frontends.schemas import json_schemas
from workflow_runtime.language.yaml.small_files import read_document

ROOT = Path(__file__).parents[2]
KUBERNETES_VERSIONS = ("1.31", "1.34")
CRD_BYTES_MAX = 1_000_000  # etcd takes 1.5 MB, of JSON
VALID = [
    *sorted((ROOT / "definitions/workflows").glob("*.yaml")),
    *sorted((ROOT / "definitions/en/workflows").glob("*.yaml")),
    *sorted(path for path in (ROOT / "tests/golden").glob("*.yaml")),
]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.load_all((FOLDER / name).read_text("utf-8"), Loader=yaml.CSafeLoader))


MANIFESTS = [document for name in ("crds.yaml", "server.yaml", "operator.yaml") for document in documents(name)]
PODS = [document for document in MANIFESTS if document["kind"] in ("StatefulSet", "Deployment")]


def workflow_of(file: Path) -> Any:
    """What a file has below ``workflow:``, without the ``x-`` keys, which custom resources have no words for."""
    return _without_notes(read_document(file).value)["workflow"]


def _without_notes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_notes(inner) for name, inner in value.items() if not str(name).startswith("x-")}
    return [_without_notes(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == FILES[name](), "python -m infra.kubernetes writes them"


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
def test_every_manifest_fits_the_published_schema(version: str) -> None:
    for document in MANIFESTS:
        kubernetes_validate.validate(document, version, strict=True)


def test_kustomize_finds_its_resources() -> None:
    [kustomization] = documents("kustomization.yaml")
    assert all((FOLDER / name).is_file() for name in kustomization["resources"])
    images = {container["image"] for pod in PODS for container in pod["spec"]["template"]["spec"]["containers"]}
    assert images == {image["name"] for image in kustomization["images"]}


@pytest.mark.parametrize("workload", PODS, ids=lambda workload: workload["metadata"]["name"])
def test_pods_keep_to_the_restricted_security_standard(workload: dict[str, Any]) -> None:
    pod = workload["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"startupProbe", "livenessProbe", "resources"} <= container.keys()
    assert all(set(volume) & {"secret", "emptyDir"} for volume in pod["volumes"])


def test_every_pod_has_a_network_policy() -> None:
    policies = [document["spec"] for document in MANIFESTS if document["kind"] == "NetworkPolicy"]
    for workload in PODS:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert [policy for policy in policies if policy["podSelector"]["matchLabels"] == labels]
    assert all(policy["policyTypes"] == ["Ingress", "Egress"] for policy in policies)


def violations(schema: dict[str, Any], place: str = "") -> Iterator[str]:
    """What of a schema is not structural."""
    if not schema.get("type") and not schema.get("x-kubernetes-preserve-unknown-fields"):
        yield f"{place}: no type"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{place}: properties and additionalProperties"
    if isinstance(schema.get("type"), list) or {"$ref", "patternProperties", "if", "const"} & schema.keys():
        yield f"{place}: not of OpenAPI"
    if "pattern" in schema:
        re2.compile(schema["pattern"])  # that of Go
    for name, value in schema.get("properties", {}).items():
        yield from violations(value, f"{place}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from violations(schema[word], f"{place}[]")
    for word in ("allOf", "anyOf"):
        for part in schema.get(word, ()):
            yield from _condition_violations(part, schema, f"{place}.{word}")


def _condition_violations(part: dict[str, Any], outside: dict[str, Any], place: str) -> Iterator[str]:
    if strange := part.keys() - {"required", "properties", "not", "anyOf", "allOf", "enum"}:
        yield f"{place}: {strange} in a condition"
    for name, value in part.get("properties", {}).items():
        if name not in outside.get("properties", {}):
            yield f"{place}: {name} is not described outside"
        else:
            yield from _condition_violations(value, outside["properties"][name], f"{place}.{name}")
    for inner in (*part.get("anyOf", ()), *part.get("allOf", ()), *([part["not"]] if "not" in part else ())):
        yield from _condition_violations(inner, outside, place)


@pytest.mark.parametrize("kind", Kind)
def test_the_schemas_are_structural(kind: Kind) -> None:
    assert list(violations(schema_of(kind))) == []
    assert len(str(schema_of(kind))) < CRD_BYTES_MAX


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_what_the_compiler_takes_is_taken(file: Path) -> None:
    assert compile_workflow(file.read_bytes()).plan is not None
    error = next(validator_of(Kind.WORKFLOW, "spec").iter_errors({"workflow": workflow_of(file)}), None)
    assert error is None, str(error)


def test_agents_that_are_taken_are_taken() -> None:
    files = [*(ROOT / "definitions").rglob("agents/*.yaml"), *(ROOT / "tests").rglob("agents/*.yaml")]
    taken = 0
    for file in files:
        value = _without_notes(read_document(file).value)
        for agent in value.get("agents", [value]):
            error = next(validator_of(Kind.AGENT, "spec").iter_errors({"agent": agent}), None)
            assert error is None, f"{file}: {error}"
            taken += 1
    assert taken > 5


def test_the_examples_are_taken() -> None:
    for document in documents("examples.yaml"):
        validator_of(Kind(document["kind"]), "spec").validate(document["spec"])


TOOL = {"id": "a", "type": "tool", "tool": "echo"}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (Kind.WORKFLOW, {"workflow": {"nodes": [TOOL]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "no spaces", "nodes": [TOOL]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodess": [TOOL]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": TOOL}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "type": "graph", "nodes": [TOOL]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{**TOOL, "type": "tol"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{**TOOL, "typo": 1}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{**TOOL, "prompt": "of an agent"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{"id": "a", "type": "tool"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{"id": "a", "type": "agent", "tool": "echo"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{**TOOL, "priority": "high"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [{**TOOL, "on_skip": "stop"}]}}),
        (Kind.WORKFLOW, {"workflow": {"id": "w", "nodes": [TOOL]}, "deletionPolicy": "never"}),
        (Kind.TRIGGER, {"workflow": "w"}),
        (Kind.TRIGGER, {"workflow": "w", "trigger": {"type": "cron"}}),
        (Kind.TRIGGER, {"workflow": "w", "trigger": {"type": "webhook"}}),
        (Kind.TRIGGER, {"workflow": "w", "trigger": {"type": "schedule", "endpoint": "x"}}),
        (Kind.AGENT, {"agent": {"model": "test"}}),
        (Kind.AGENT, {"agent": {"id": "a"}}),
        (Kind.AGENT, {"agent": {"id": "no spaces", "model": "test"}}),
        (Kind.AGENT, {"agent": {"id": "a", "model": "test", "tempreature": 1}}),
        (Kind.AGENT, {"agent": {"id": "a", "model": "test", "cache": "2h"}}),
        (Kind.AGENT, {"agent": {"id": "a", "model": "test", "output_retries": 11}}),
        (Kind.AGENT, {"agent": {"id": "a", "model": "test", "settings": {"max_tokens": "many"}}}),
        (Kind.AGENT, {"agent": {"id": "a", "model": "test"}, "deletionPolicy": "never"}),
        (Kind.LIMIT, {"concurency": 4}),
        (Kind.LIMIT, {"concurrency": -1}),
        (Kind.LIMIT, {"concurrency": "4"}),
        (Kind.RUN, {}),
        (Kind.RUN, {"workflow": "w", "input": [1]}),
        (Kind.RUN, {"workflow": "w", "version": 0}),
    ],
    ids=str,
)
def test_mistakes_are_refused(kind: Kind, spec: dict[str, Any]) -> None:
    assert not validator_of(kind, "spec").is_valid(spec)


def test_the_conversion_never_refuses_what_the_schema_takes() -> None:
    """For definitions with mistakes, too: some of them are wrong only for the compiler."""
    schema = json_schemas()["workflow"]
    validator = jsonschema_rs.validator_for(schema)
    files = [*(ROOT / "tests/golden/findings").glob("*.yaml"), *(ROOT / "events/examples").glob("*.yaml")]
    taken = 0
    for file in files:
        try:
            document = _without_notes(read_document(file).value)
        except DefinitionError:  # no YAML
            continue
        if isinstance(document, dict) and validator.is_valid(document) and (document["workflow"] or {}).get("id"):
            taken += 1
            assert validator_of(Kind.WORKFLOW, "spec").is_valid({"workflow": document["workflow"]}), file.name
    assert taken > 15


def test_what_is_nested_too_deep_is_left_open() -> None:
    definitions = {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}}
    written = Structural(definitions).of({"$ref": "#/$defs/Tree"})
    assert written["properties"]["left"]["properties"]["left"] == {"x-kubernetes-preserve-unknown-fields": True}
