"""What people are asked, once the values are there: the words, who may answer, and how many must approve.

The engine makes it of what an approval node says; a worker, of what an agent's definition says of its calls.
"""

from __future__ import annotations

from workflow_runtime.errors import NodeError
from workflow_runtime.language.expressions import Scope, render_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.specs import PEOPLE_MAX

PROMPT_CHARS_MAX = 10_000  # it travels in events; what is longer belongs into `data`
NAME_CHARS_MAX = 1_000


def prompt_of(value: Json) -> str:
    """Raises `NodeError` (``too_large``)."""
    text = render_text(value, Scope({}))
    if len(text) > PROMPT_CHARS_MAX:
        message = f"the prompt has {len(text):,} characters; at most {PROMPT_CHARS_MAX:,} are possible: use `data`"
        raise NodeError("too_large", message)
    return text


def people_of(value: Json, field: str) -> tuple[str, ...]:
    """The names that ``field`` has come to, each once. A list that turns out empty is an error: it would let everybody
    in, or nobody. Raises `NodeError` (``validation_error``)."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NodeError("validation_error", f"`{field}` is not a list of names")
    found = tuple(dict.fromkeys(name.strip() for name in names))
    if not found or "" in found:
        raise NodeError("validation_error", f"`{field}` names nobody" if not found else f"a name in `{field}` is empty")
    if len(found) > PEOPLE_MAX or any(len(name) > NAME_CHARS_MAX for name in found):
        limits = f"{PEOPLE_MAX} names of at most {NAME_CHARS_MAX:,} characters"
        raise NodeError("validation_error", f"`{field}` may have {limits}")
    return found


def quorum_of(value: Json, asked: set[str]) -> int:
    """``asked``: who can answer, if not whoever may call the API. Raises `NodeError` (``validation_error``)."""
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= PEOPLE_MAX:
        raise NodeError("validation_error", f"`quorum` is not a whole number from 1 to {PEOPLE_MAX}")
    if asked and value > len(asked):
        raise NodeError("validation_error", f"`quorum` is {value}, but only {len(asked)} can answer")
    return value
