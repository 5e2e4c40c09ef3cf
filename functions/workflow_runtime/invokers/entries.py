"""Entries of agent and tool files: which files, which entries in them, and a pydantic model for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.language.refusals import refusal
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import DECLARED_TWICE, UNKNOWN_KEY, WRONG_FIELD, Document, read_document

SUFFIXES = (".yaml", ".yml", ".json")

Entry = TypeVar("Entry", bound=BaseModel)


def read_entries(
    directory: Path | None, plural: str, model: type[Entry], findings: list[Finding]
) -> dict[str, tuple[Entry, Document]]:
    """All entries below ``directory`` by id; what is wrong is added to ``findings``. No directory: no entries.

    A file holds one entry, or a list of them under the key ``plural`` (``agents:``, ``tools:``). ``model`` has a field
    ``id``.
    """
    return entries_of(_documents(directory, findings), plural, model, findings)


def entries_of(
    documents: Iterable[Document], plural: str, model: type[Entry], findings: list[Finding]
) -> dict[str, tuple[Entry, Document]]:
    """The same of documents that were read already."""
    entries: dict[str, tuple[Entry, Document]] = {}
    places: dict[str, str] = {}
    for document in documents:
        for path, value in _values(document, plural, findings):
            entry = parse_entry(document, path, value, model, findings)
            if entry is None:
                continue
            id: str = entry.id  # type: ignore[attr-defined]
            if id in entries:
                message = f"the id {id!r} is taken: {places[id]} declares it too"
                findings.append(document.finding(DECLARED_TWICE, message, (*path, "id")))
                continue
            entries[id] = (entry, document)
            places[id] = document.file
    return entries


def _documents(directory: Path | None, findings: list[Finding]) -> Iterator[Document]:
    if directory is None or not directory.is_dir():
        return
    for file in sorted(directory.rglob("*")):
        if file.suffix in SUFFIXES and file.is_file():
            try:
                yield read_document(file)
            except DefinitionError as error:
                findings.extend(error.findings)


def _values(document: Document, plural: str, findings: list[Finding]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    value = document.value
    if value is None:
        return
    if not isinstance(value, dict):
        findings.append(document.finding(WRONG_FIELD, f"expected one entry, or a list under `{plural}:`"))
    elif plural not in value:
        yield (), value
    elif not isinstance(value[plural], list):
        findings.append(
            document.finding(WRONG_FIELD, f"`{plural}` must be a list", (plural,), "start each entry with `- id:`")
        )
    else:
        findings.extend(
            document.finding(UNKNOWN_KEY, f"unknown key {key!r} beside `{plural}`", (key,))
            for key in value
            if key != plural
        )
        for index, item in enumerate(value[plural]):
            yield (plural, index), item


def parse_entry(
    document: Document, path: tuple[str | int, ...], value: Any, model: type[Entry], findings: list[Finding]
) -> Entry | None:
    """``value`` as ``model``, or None with every problem of it in ``findings``."""
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            context = problem.get("ctx", {})
            place = (*path, *problem["loc"], *context.get("at", ()))
            if problem["type"] == "extra_forbidden":
                name, siblings = str(place[-1]), _fields_at(model, problem["loc"][:-1])
                findings.append(
                    document.finding(UNKNOWN_KEY, f"unknown key {name!r}", place, did_you_mean(name, siblings))
                )
            else:
                hint = did_you_mean(*context["near"]) if context.get("near") else context.get("hint")
                findings.append(document.finding(WRONG_FIELD, _plain(problem, place[len(path) :]), place, hint))
        return None


def _plain(problem: Any, place: tuple[str | int, ...]) -> str:
    name = next((part for part in reversed(place) if isinstance(part, str)), None)
    return f"`{name}`: {refusal(problem)}" if name is not None else refusal(problem)


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        if isinstance(part, int):
            continue  # an item of the list that the field before it holds
        field = next((field for name, field in model.model_fields.items() if part in (name, field.alias)), None)
        inner = _model_in(field.annotation) if field is not None else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, itself or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
