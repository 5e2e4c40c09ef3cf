"""``definitions/limits.yaml``: the limiters that all workflows share."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from workflow_runtime.definition.ids import id_problem
from workflow_runtime.definition.limits import LimiterDefinition, shared_template_problems
from workflow_runtime.definition.reading import details
from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import RULES, Finding
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.yaml.small_files import UNKNOWN_KEY, WRONG_FIELD, Document, read_document
from workflow_runtime.plan.limiters import Limiter

FILE_NAME = "limits.yaml"


def read_limits(definitions: Path | None) -> dict[str, Limiter]:
    """The limiters below a definitions directory, by name; none if there is no such file. Raises `DefinitionError`."""
    file = definitions / FILE_NAME if definitions is not None else None
    return read_limits_file(file) if file is not None and file.is_file() else {}


def read_limits_file(file: Path) -> dict[str, Limiter]:
    """The limiters that a file declares, by name. Raises `DefinitionError`."""
    document = read_document(file)
    findings: list[Finding] = []
    limiters = _limiters(document, findings)
    if findings:
        raise DefinitionError(findings)
    return limiters


def _limiters(document: Document, findings: list[Finding]) -> dict[str, Limiter]:
    value = document.value
    if value is None:
        return {}
    if not isinstance(value, dict) or not isinstance(value.get("limits"), dict):
        findings.append(document.finding(WRONG_FIELD, "expected limiters by name under `limits:`"))
        return {}
    beside = (key for key in value if key != "limits" and not key.startswith("x-"))
    findings += [document.finding(UNKNOWN_KEY, f"unknown key {key!r} beside `limits`", (key,)) for key in beside]
    limiters = {}
    for name, written in value["limits"].items():
        limiter = _limiter(document, name, written, findings)
        if limiter is not None:
            limiters[name] = limiter
    return limiters


def _limiter(document: Document, name: str, written: Json, findings: list[Finding]) -> Limiter | None:
    wrong = id_problem(name)
    if wrong is not None:
        context = wrong.context or {}
        findings.append(document.finding(RULES[wrong.type], context["text"], ("limits", name), context.get("hint")))
        return None
    try:
        limiter = LimiterDefinition.model_validate(written).limiter()
        wrong_templates = [
            document.finding(WRONG_FIELD, text, ("limits", name, field))
            for field, text in shared_template_problems(limiter)
        ]
        findings += wrong_templates
        return limiter if not wrong_templates else None
    except ValidationError as error:
        for line in details(error):
            context = getattr(line["type"], "context", None) or {}
            place = ("limits", name, *line["loc"], *context.get("at", ()))
            kind = getattr(line["type"], "type", WRONG_FIELD.id)
            findings.append(document.finding(RULES[kind], context["text"], place, context.get("hint")))
        return None
