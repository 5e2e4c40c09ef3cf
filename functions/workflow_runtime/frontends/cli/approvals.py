"""Approvals as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from workflow_runtime.frontends.cli.output import Line
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import shorten

PROMPT_COLUMNS = 80
STYLES = {"open": "yellow", "approved": "green"}


def listed_line(item: Mapping[str, Json]) -> Line:
    """``ex-….1  open  2026-01-01T…  review/check  ann, bob  Publish this?``"""
    who = ", ".join(item["assignees"]) or "anybody"
    return [
        (item["id"], "bold"),
        ("  " + item["status"], STYLES.get(item["status"], "red")),
        (f"  {item['asked_at']}  ", "dim"),
        f"{item['workflow_id']}: {item['path']}  {who}  {shorten(item['prompt'], PROMPT_COLUMNS)}",
    ]


def approval_lines(found: Mapping[str, Json]) -> Iterator[Line]:
    """One approval for people."""
    yield [(found["id"], "bold"), ("  " + found["status"], STYLES.get(found["status"], "red"))]
    yield f"  {found['workflow_id']}: {found['path']}, asked {found['asked_at']}"
    for line in found["prompt"].splitlines():
        yield f"  {line}"
    quorum = f", {found['quorum']} of whom must approve" if found["quorum"] > 1 else ""
    yield [("  who: ", "dim"), (", ".join(found["assignees"]) or "whoever may call the API") + quorum]
    for name in ("escalates_at", "expires_at", "ended_at"):
        if found[name]:
            yield [(f"  {name}: ", "dim"), found[name]]
    for name in ("data", "form"):
        if found[name] is not None:
            yield [(f"  {name}:", "dim")]
            text = msgspec.json.format(msgspec.json.encode(found[name]), indent=2).decode()
            yield from (f"    {line}" for line in text.splitlines())
    for answer in found["answers"]:
        word, style = ("approved", "green") if answer["approved"] else ("rejected", "red")
        said = f": {answer['comment']}" if answer["comment"] else ""
        yield ["  ", (word, style), f" by {answer['by'] or 'somebody'} at {answer['at']}{said}"]
