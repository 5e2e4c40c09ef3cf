"""Findings about the file itself: ``WF1xx``. Ids are stable; never reuse one."""

from __future__ import annotations

from workflow_runtime.findings import Severity, rule

ERROR = Severity.ERROR

UNREADABLE = rule(
    "WF101",
    ERROR,
    "The file is not UTF-8 text",
    "Save it as UTF-8, without control characters other than tab and line ends.",
)
SYNTAX = rule(
    "WF102",
    ERROR,
    "The file is not valid YAML",
    "Look at this line and the one above it: indentation, a missing quote or bracket.",
)
TOO_LARGE = rule("WF103", ERROR, "The file is too large", "Split the workflow, or keep long texts in agents or tools.")
TOO_DEEP = rule("WF104", ERROR, "Values are nested too deep", "Flatten the value.")
TOO_MANY_ALIASES = rule(
    "WF105", ERROR, "Aliases expand to too much", "Write `defaults:` or `variables:` instead of repeating an anchor."
)
TOO_MANY_VALUES = rule("WF106", ERROR, "The file holds too many values", "Split the workflow.")
TAG = rule("WF107", ERROR, "Tags are not allowed", "Remove the tag; quote the value if it is meant as text.")
DUPLICATE_KEY = rule("WF108", ERROR, "A key stands twice in one mapping", "Keep one of them.")
KEY_NOT_TEXT = rule("WF109", ERROR, "A key is not text", "Put the key in quotes.")
SEVERAL_DOCUMENTS = rule(
    "WF110", ERROR, "The file holds more than one document", "Keep one workflow per file; remove the `---` line."
)
NOT_A_JSON_NUMBER = rule(
    "WF111", ERROR, "A number that JSON or 64 bits cannot hold", "Put it in quotes to keep it as text."
)
BAD_ALIAS = rule(
    "WF112", ERROR, "An alias that leads nowhere", "Define the anchor (`&name`) above the place that uses it (`*name`)."
)
BAD_MERGE = rule(
    "WF113", ERROR, "`<<` merges something that is not a mapping", "Merge an alias of a mapping, or a list of those."
)
EMPTY = rule("WF114", ERROR, "The file is empty", "A workflow file starts with `workflow:`.")
NOT_A_WORKFLOW = rule(
    "WF115",
    ERROR,
    "The file is not a workflow",
    "A workflow file starts with `workflow:`; everything else is indented below it.",
)
COMMENT_CUTS = rule("WF116", ERROR, "A comment cuts a `${…}` short", 'Put the whole value in quotes: "${…}".')
MORE_FINDINGS = rule("WF117", ERROR, "There are more findings than are shown", "Fix these and check again.")
