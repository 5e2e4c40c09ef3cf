"""The checked-in OpenAPI document describes this API."""

from __future__ import annotations

import json
from typing import Any

from workflow_runtime.frontends.api.openapi import TARGET, main, openapi_document
from workflow_runtime.frontends.api.problems import PROBLEM_TYPE, STATUSES


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(method, operation) for path in document["paths"].values() for method, operation in path.items()]


def test_the_checked_in_document_is_current() -> None:
    assert main(["--check"]) == 0, f"run python -m workflow_runtime.frontends.api.openapi to rewrite {TARGET.name}"


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere() -> None:
    document = openapi_document()
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    used = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= set(schemas)


def test_every_problem_is_described_as_one() -> None:
    for _, operation in operations(openapi_document()):
        if operation["operationId"] == "callMcp":
            continue  # JSON-RPC has errors of its own
        for status, answer in operation["responses"].items():
            assert int(status) < 400 or list(answer["content"]) == [PROBLEM_TYPE]
            assert int(status) < 400 or int(status) in {known for known, _ in STATUSES.values()}


def test_every_operation_has_a_name_and_a_summary() -> None:
    found = [operation for _, operation in operations(openapi_document())]
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"].endswith(".") for operation in found)
