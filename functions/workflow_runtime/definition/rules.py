"""Findings about fields: ``WF2xx``. Ids are stable; never reuse one."""

from __future__ import annotations

from workflow_runtime.findings import Severity, rule

ERROR = Severity.ERROR

UNKNOWN_FIELD = rule(
    "WF201",
    ERROR,
    "An unknown field",
    "Correct the name, or start it with `x-` to have it ignored.",
    about_key=True,
)
REQUIRED = rule("WF202", ERROR, "A required field is missing")
WRONG_KIND = rule("WF203", ERROR, "A value of the wrong kind")
UNKNOWN_TYPE = rule("WF204", ERROR, "An unknown type of node or trigger")
UNKNOWN_WORD = rule("WF205", ERROR, "A value that this field does not take")
BAD_ID = rule(
    "WF206", ERROR, "Not an id", "Ids are letters, digits, _ and - of any script, at most 128, and do not start with -."
)
RESERVED = rule("WF207", ERROR, "A reserved name", "Choose another name.")
DUPLICATE_ID = rule("WF208", ERROR, "An id stands twice", "Ids of nodes are unique within their graph.")
SAID_TWICE = rule("WF209", ERROR, "A field is given twice, with different values", "Keep one of them.", about_key=True)
TEMPLATE_IN_LITERAL = rule("WF210", ERROR, "`${…}` in a field that is taken literally", "Write the value itself here.")
LITERAL_FOR_NOW = rule(
    "WF211", ERROR, "`${…}` in a field that must be a literal for now", "Write the value itself here."
)
BAD_DURATION = rule(
    "WF212",
    ERROR,
    "Not a duration",
    "A number is seconds; `500ms`, `90s`, `5m`, `2h`, `1d`, `1h30m` and ISO 8601 work too.",
)
OUT_OF_RANGE = rule("WF213", ERROR, "A number out of range")
NOT_ONE_TEMPLATE = rule(
    "WF214",
    ERROR,
    "Text around `${…}` where the value itself is needed",
    "Write exactly one `${…}` and nothing around it.",
)
DYNAMIC_ID = rule("WF215", ERROR, "A computed id without `allow`", "List the ids it may yield: `allow: [a, b]`.")
COMBINATION = rule("WF216", ERROR, "Fields that do not go together")
BAD_PATTERN = rule("WF217", ERROR, "Not a regular expression", "RE2 syntax: no look-around, no back-references.")
BAD_SCHEMA = rule("WF218", ERROR, "Not a JSON Schema", "JSON Schema 2020-12.")
TOO_MANY = rule("WF219", ERROR, "Too many entries", "Split the workflow.")
BAD_EVENT = rule(
    "WF220",
    ERROR,
    "Not the name of an event",
    "A name, `order.*` for `order` and all below it, or `*` for everything.",
)
BAD_TIME = rule(
    "WF221",
    ERROR,
    "Not a time",
    "ISO 8601 (`2026-01-31T09:30:00Z`; without an offset it is UTC), or epoch milliseconds.",
)
UNKNOWN_ACTION = rule("WF222", ERROR, "An unknown action")
BAD_RATE = rule("WF224", ERROR, "Not a rate", "A number and a time: `60/min`, `200k/min`, `5/s`.")
SAME_WORKFLOW = rule(
    "WF223",
    ERROR,
    "Two files define the same workflow",
    "One would be a version of the other: give one of them another id.",
)
