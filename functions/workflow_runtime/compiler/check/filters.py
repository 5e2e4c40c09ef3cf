"""Filters of triggers that no event can match: by their form, or by the schema of the event's data."""

from __future__ import annotations

from collections.abc import Iterator

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.check.shapes import SCALARS, Shape, shape
from workflow_runtime.compiler.report import DocumentPath, Report
from workflow_runtime.definition.triggers import EventTrigger
from workflow_runtime.definition.workflow import WorkflowDefinition
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.patterns import ANY_OF, pattern_problem, stray_operators, undotted, values_test
from workflow_runtime.plan.events import TOPIC_CHARACTERS_MAX

ABSENT = {"exists": False}


def check_filters(definition: WorkflowDefinition, trigger: EventTrigger, place: DocumentPath, report: Report) -> None:
    """What is wrong with topics and filters of a trigger, and what no event matches."""
    for number, topic in enumerate(trigger.topic):
        if len(topic) > TOPIC_CHARACTERS_MAX:
            message = f"no event has a topic of {len(topic):,} characters: EventBridge takes {TOPIC_CHARACTERS_MAX}"
            report.add(rules.NEVER_MATCHES, message, (*place, "topic", number))
    if trigger.filters is None:
        return
    at = (*place, "filters")
    if problem := pattern_problem(trigger.filters):
        report.add(rules.BAD_FILTERS, problem.message, (*at, *problem.place))
        return
    if any(map(_is_whole_pattern, _with_alternatives(undotted(trigger.filters)))):
        message = "these filters look like a whole event pattern, but they match inside the event's `detail`"
        report.add(rules.WHOLE_PATTERN, message, at)
        return
    known = shape(definition.event_schemas.get(trigger.event or ""))
    found = [*stray_operators(trigger.filters)]
    if known is not None and not found:
        found += _unmatched(trigger.filters, known, f"`{trigger.event}`")
    for path, message in found:
        report.add(rules.NEVER_MATCHES, message, (*at, *path))


def _is_whole_pattern(filters: Json) -> bool:
    return isinstance(filters, dict) and ("detail-type" in filters or isinstance(filters.get("detail"), dict))


def _with_alternatives(filters: Json) -> Iterator[Json]:
    yield filters
    for alternative in filters.get(ANY_OF, ()) if isinstance(filters, dict) else ():
        yield from _with_alternatives(alternative)


def _unmatched(pattern: dict[str, Json], known: Shape, event: str) -> Iterator[tuple[DocumentPath, str]]:
    """The fields of a pattern that data of this shape never matches, each with the reason."""
    for name, wanted in pattern.items():
        if name == ANY_OF and isinstance(wanted, list):
            for number, alternative in enumerate(wanted):
                for path, message in _unmatched(alternative, known, event) if isinstance(alternative, dict) else ():
                    yield (name, number, *path), message
            continue
        entries = wanted if isinstance(wanted, list) else [wanted]
        field, lacking = _step(known, name)
        if lacking is not None and ABSENT not in entries:
            yield (name,), f"the data of {event} has no `{lacking}`, by its schema"
        elif field is None:
            continue
        elif isinstance(wanted, dict) and values_test(wanted) is None:
            yield from (((name, *path), message) for path, message in _unmatched(wanted, field, event))
        elif not any(_may_match(entry, field, is_required=_requires(known, name)) for entry in entries):
            yield (name,), f"no data of {event} matches this, by its schema"


def _step(known: Shape, name: str) -> tuple[Shape | None, str | None]:
    """The shape of a field, whose name may be a path; and the first name on the way that is not there."""
    here: Shape | None = known
    for part in name.split("."):
        if here is None or (has := here.has(part)) is None:
            return None, None
        if not has:
            return None, part
        here = here.field(part)
    return here, None


def _requires(known: Shape, name: str) -> bool:
    return isinstance(known.schema, dict) and name in known.schema.get("required", ())


def _may_match(entry: Json, field: Shape, *, is_required: bool) -> bool:
    """Whether an entry of a field's list may match; of lists and objects that is not asked."""
    types = field.types
    if entry == ABSENT:
        return not is_required
    if types is None or not types <= SCALARS:
        return types is None or types != {"object"}
    test = values_test(entry)
    if test is None or field.values is not None:
        return test is None or any(map(test, field.values or ()))
    return any(test(sample) for name in types for sample in _SAMPLES[name]) or _is_of(entry, types)


_SAMPLES: dict[str, tuple[Json, ...]] = {"boolean": (True, False), "null": (None,), "string": ("",), "number": (0,)}
_OF_TEXTS = frozenset({"prefix", "suffix", "wildcard", "equals-ignore-case", "exactly", "cidr"})


def _is_of(entry: Json, types: frozenset[str]) -> bool:
    """Whether an entry is about values of one of these types, all of which there may be."""
    if isinstance(entry, dict):
        [name] = entry
        kind = "string" if name in _OF_TEXTS else "number" if name == "numeric" else None
        return kind is None or kind in types
    return ("string" if isinstance(entry, str) else "number") in types and not isinstance(entry, bool | None)
