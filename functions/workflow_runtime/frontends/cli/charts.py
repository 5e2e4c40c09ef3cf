"""Charts and events as lines for people: transitions, active states, what is listened to, which timers run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from workflow_runtime.frontends.cli.output import Line, Span
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import columns, preview, shorten, visible

VARIABLE_COLUMNS_MAX = 100
CONDITION_COLUMNS_MAX = 100
EVENT_COLUMNS_MAX = 32
TRANSITIONS_SHOWN_MAX = 20  # the history has them all

Transition = Mapping[str, Json]


def transition_spans(transition: Transition) -> list[Span | str]:
    """``created → paid  on pay``, or why nothing was taken."""
    event = transition["event"]
    where = f"  in {transition['machine']}" if transition["machine"] else ""
    if transition["reason"]:
        return [(f"{event}: not taken", "yellow"), (where, "dim"), f": {transition['reason']}"]
    left, entered = _left(transition), ", ".join(transition["configuration"])
    on: list[Span | str] = [("  on ", "dim"), str(event)] if event else []
    if stays(transition):
        return [(left or entered, "bold"), ("  stays", "dim"), *on, (where, "dim")]
    return [*([left, " "] if left else []), ("→ ", "cyan"), (entered, "bold"), *on, (where, "dim")]


def failure_lines(transition: Transition) -> Iterator[list[Span | str]]:
    """What failed on the way, and what to know of it besides."""
    for failure in transition.get("failures", ()):  # servers before it had the field
        yield [("✗ ", "red"), (str(failure), "red")]
    for warning in transition.get("warnings", ()):  # likewise
        yield [("! ", "yellow"), (str(warning), "yellow")]


def stays(transition: Transition) -> bool:
    """Whether no state was left or entered."""
    return not transition["exited"] and not transition["entered"]


def _left(transition: Transition) -> str:
    return str(transition["source"] or "")


def transition_lines(document: Mapping[str, Json]) -> Iterator[Line]:
    """The last transitions, refusals included."""
    transitions: Sequence[Transition] = document.get("transitions") or []
    if len(transitions) > TRANSITIONS_SHOWN_MAX:
        yield [(f"… {len(transitions) - TRANSITIONS_SHOWN_MAX} and more before", "dim")]
    for _, alike in groupby(transitions[-TRANSITIONS_SHOWN_MAX:], likeness):
        same = list(alike)
        yield [*transition_spans(same[0]), *([(f"  {len(same)} times", "dim")] if len(same) > 1 else [])]
        for line in failure_lines(same[0]):
            yield ["  ", *line]


def likeness(transition: Transition) -> tuple[Json, ...]:
    """What repeated transitions share; all but their times."""
    shared = tuple(transition[name] for name in ("event", "source", "configuration", "reason", "machine"))
    return (*shared, *transition.get("failures", ()), *transition.get("warnings", ()))


def state_lines(document: Mapping[str, Json]) -> Iterator[Line]:
    """Where the charts are, and what the one at the top has in its variables."""
    charts = [("", document.get("current_states") or [])]
    charts += [(path, machine["current_states"]) for path, machine in (document.get("machines") or {}).items()]
    for path, states in charts:
        if states:
            yield [("state: ", "cyan"), (", ".join(states), "bold"), (f"  in {path}" if path else "", "dim")]
    variables = document.get("variables")
    if document["status"] == "completed":
        return  # they are in its output
    if document.get("current_states") and isinstance(variables, Mapping) and "truncated" not in variables:
        for name, value in variables.items():
            yield [("  ", ""), name, (" = ", "dim"), preview(value, VARIABLE_COLUMNS_MAX)]


def event_lines(document: Mapping[str, Json]) -> Iterator[Line]:
    """Which events it listens to now, and whether they would be taken; and which came before their wait."""
    events: Sequence[Mapping[str, Json]] = document.get("available_events") or []
    width = min(max((columns(visible(event["event"])) for event in events), default=0), EVENT_COLUMNS_MAX)
    for event in events:
        target = f" → {', '.join(event['target'])}" if event["target"] else ""
        name = visible(event["event"])
        spans: list[Span | str] = [("event: ", "cyan"), (name, "bold"), " " * (width - columns(name))]
        spans.append(f"  {event['source']}{target}" + (f"  in {event['machine']}" if event["machine"] else ""))
        if event["condition"] is not None:
            spans.append((f"  if {shorten(event['condition'], CONDITION_COLUMNS_MAX)}", "dim"))
        if event["enabled"] is False:
            spans.append(("  (now false)", "yellow"))
        yield spans
    for early in document.get("kept_events") or []:
        yield [("kept:  ", "cyan"), (visible(early["event"]), "bold"), f"  since {early['at']}, for a wait to come"]


def timer_lines(document: Mapping[str, Json]) -> Iterator[Line]:
    """What will happen by itself, and when."""
    words = {
        "delay": "is due", "send": "is sent", "wait": "goes on", "retry": "is tried again", "timeout": "times out",
        "deadline": "times out",
    }  # fmt: skip
    for timer in document.get("timers") or []:
        yield [
            ("timer: ", "cyan"),
            (str(timer["source"] or "the execution"), "bold"),
            f" {words[timer['kind']]} at {timer['at']}",
        ]
