"""Names: what may stand in an expression as it is, what may be an id, and what is taken."""

from __future__ import annotations

import re

from workflow_runtime.language.look_alikes import INVISIBLE

ID_CHARACTERS_MAX = 128

ID_PATTERN = r"^\w[\w-]*$"
"""JSON-Schema pattern of an id; it may start with a digit."""

IDENTIFIER_PATTERN = r"^[^\W\d]\w*(?:-+\w+)*$"
"""Pattern of a name that can stand in an expression as it is: no digit first, hyphens only inside."""

RESERVED_NAMES = frozenset(
    {
        "execution",
        "workflow",
        "now",
        "current_time",
        "task_token",
        "nodes",
        "variables",
        "previous",
        "env",
        "secrets",
        "inputs",
        "output",
        "error",
        "event",
        "item",
        "index",
        "iterations",
        "previous_iteration",
        "current",
    }
)
"""Refused as ids, variables and ``as`` names."""

_HYPHENS = re.compile("-+")


def is_identifier(text: str) -> bool:
    """Whether ``text`` is a name that an expression can hold as it is (marks of scripts that need them included)."""
    if not 0 < len(text) <= ID_CHARACTERS_MAX:
        return False
    first, *others = _HYPHENS.split(text)
    if not text.isascii() and INVISIBLE.search(text):
        return False
    return first.isidentifier() and all(("_" + part).isidentifier() and part for part in others)


def is_id(text: str) -> bool:
    """Whether ``text`` may name a node, a workflow or a state: letters, digits, ``_`` and ``-`` of any script, not
    ``-`` first."""
    if not 0 < len(text) <= ID_CHARACTERS_MAX or text[0] == "-":
        return False
    is_visible = text.isascii() or not INVISIBLE.search(text)
    return is_visible and ("_" + text.replace("-", "_")).isidentifier()
