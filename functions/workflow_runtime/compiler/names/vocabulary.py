"""Names that the language itself gives a meaning, and what to say of those that have none in a place."""

from __future__ import annotations

from workflow_runtime.plan.formulas import BindingKind

GLOBALS = {
    "execution": BindingKind.EXECUTION,
    "workflow": BindingKind.WORKFLOW,
    "now": BindingKind.TIME,
    "current_time": BindingKind.TIME,
    "variables": BindingKind.VARIABLES,
    "env": BindingKind.ENV,
}

PREVIOUS_NAMES = ("previous", "current")
"""Outside loops `current` is `previous`."""

FIELDS = {
    "execution": ("id", "input", "started_at", "attempt"),
    "workflow": ("id", "name", "version"),
    "nodes": ("status", "error", "output"),
    "event": ("name", "data", "id", "source", "at"),
    "error": ("type", "message", "node"),
}
"""What the documents of these names hold."""

ELSEWHERE = {
    "event": "`event` exists in guards, actions and outputs of states, and in the `match` of a wait only",
    "index": "`index` exists in the body of a loop and in `for_each` only",
    "item": "`item` exists in a loop, in `for_each`, `filter` and `map`, and in the `score` of an aggregation only",
    "iterations": "`iterations` exists in a loop only",
    "previous_iteration": "`previous_iteration` exists in a loop only",
    "task_token": "`task_token` exists in nodes with a callback only",
    "output": "`output` exists in the `outputs` of a node only; write `${<node id>}` for the output of another one",
    "inputs": "`inputs` exists in the `outputs` of a node only; write `${input}` for the input of the workflow",
    "error": "`error` exists in fallbacks and compensations only; write `${nodes.<id>.error}` for a node's error",
}

ERROR_IN_CHART = "Write `${event.data}` for the error that an event carries."

LAST = {
    "input": ("the whole input", "execution.input"),
    "trigger": ("what started the execution", "execution.input.trigger"),
}
"""Names that mean this where nothing else is called so, each with what always means it."""

NOT_OF_EVENTS = frozenset({*GLOBALS, *PREVIOUS_NAMES, "nodes", "secrets", "task_token"})
"""Names that belong to an execution: an event that comes to it, or starts it, has none of them."""
