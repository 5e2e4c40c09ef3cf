"""What is printed after a run: a row per node, the output or the error, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from workflow_runtime.errors import error_line, error_text
from workflow_runtime.frontends.cli.charts import state_lines, transition_lines
from workflow_runtime.frontends.cli.output import Line, Output, Span
from workflow_runtime.frontends.cli.progress import STATUS_COLUMNS, duration, epoch_ms, mark, seconds_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.texts import columns, counted, cut, preview, shorten, visible

ID_COLUMNS_MAX = 32
DETAIL_COLUMNS_MIN = 20
TIME_COLUMNS = 9
OUTPUT_LINES_MAX = 60  # on a terminal; --json has it all
LETTERS_SHOWN_MAX = 5

STATUS_STYLES = {"completed": "bold green", "failed": "bold red", "cancelled": "bold yellow"}
OPEN_STYLE = "bold cyan"
_PASS = re.compile(r"\[[0-9]+\]$")

WAITS = {
    "event": "for an event",
    "timer": "for its time",
    "approval": "for a decision",
    "callback": "for its task token to be completed",
    "suspended": "because the execution is suspended",
    "limiter": "for a limiter",
    "budget": "for more of a budget (awr why says of which)",
    "concurrency": "for a free place (max_concurrency)",
    "retry": "for its next attempt",
    "frozen": "because it is frozen (awr why says by which freeze)",
}


def show_summary(out: Output, document: Mapping[str, Json]) -> None:
    """The whole summary of an execution document, on stdout; with ``--json`` there is none."""
    if out.json:
        return
    nodes = {path: entry for path, entry in node_entries(document).items() if _is_shown(path, entry)}
    width = min(max((columns(visible(id)) for id in nodes), default=0), ID_COLUMNS_MAX)
    rows = [_row(id, entry, width, out.columns) for id, entry in nodes.items()]
    if not node_entries(document) and document["node_executions"]:
        rows = [[("note: ", "yellow"), "too many nodes for one answer of the API: it shows them one by one"]]
    remarks: list[Line] = [
        [("note: ", "yellow"), remark] for id, entry in nodes.items() for remark in _remarks(id, entry)
    ]
    out.line(title(document))
    if document.get("suspension"):  # an older server does not tell
        out.line(_suspension(document["suspension"]))
        if escalated := document["suspension"].get("escalated"):
            out.line(f"  {visible(escalated['error']['message'])}")
            out.line([("  retry it, skip it, or resume to let it fail", "dim")])
    for lines in (list(transition_lines(document)), list(state_lines(document)), rows, remarks):
        if lines:
            out.line()
        for line in lines:
            out.line(line)
    if document.get("usage"):
        out.line()
        out.line(_usage(document["usage"]))
    if document["status"] == "completed":
        _show_output(out, document["output"])
    if document["error"]:
        out.line()
        for line in _error(document["error"]):
            out.line(line)
    for line in _compensation(document):
        out.line(line)


def node_entries(document: Mapping[str, Json]) -> Mapping[str, Mapping[str, Json]]:
    """The nodes of an execution document by id; none where the API left them out because they are too many."""
    found: Mapping[str, Mapping[str, Json]] = document["node_executions"]
    return {} if "truncated" in found and not isinstance(found["truncated"], Mapping) else found


def _is_shown(path: str, entry: Mapping[str, Json]) -> bool:
    """Whether a node has a row: those inside of states only once they were ordered."""
    return "/" not in path or bool(entry["started_at"]) or entry["status"] not in ("waiting", "skipped")


def waits_lines(document: Mapping[str, Json]) -> list[Line]:
    """Which nodes wait for something that has a name, while the execution is under way."""
    return [
        [("waiting: ", "cyan"), (id, "bold"), f" {WAITS[entry['waiting_on']]}"]
        for id, entry in node_entries(document).items()
        if entry["waiting_on"] in WAITS
    ]


def waiting_lines(document: Mapping[str, Json]) -> list[Line]:
    """Which nodes wait for what, when nothing more can happen by itself."""
    nodes: Mapping[str, Mapping[str, Json]] = document["node_executions"]
    holders = {*(document.get("machines") or {}), *(_PASS.sub("", path.rpartition("/")[0]) for path in nodes)}
    found = {id: entry for id, entry in nodes.items() if entry["status"] in ("ready", "running", "retrying")}
    found = {id: entry for id, entry in found.items() if id not in holders}  # what is inside them is shown instead
    found |= {id: entry for id, entry in nodes.items() if entry["waiting_on"] not in (None, "dependency")}
    if not found and not document.get("current_states"):
        found = {id: entry for id, entry in nodes.items() if entry["status"] == "waiting"}
    return [["  ", (id, "bold"), f" ({entry['status']}) waits {_waits(entry)}"] for id, entry in found.items()]


def dead_letter_lines(letters: Sequence[Mapping[str, Json]]) -> list[Line]:
    """What was sent to the execution and could not be taken."""
    if not letters:
        return []
    lines: list[Line] = [
        [("dead letters: ", "bold yellow"), f"{len(letters)} that could not be taken or sent"],
        *(f"  {letter.get('reason')}" for letter in letters[:LETTERS_SHOWN_MAX]),
    ]
    return lines + (["  …"] if len(letters) > LETTERS_SHOWN_MAX else [])


def _waits(entry: Mapping[str, Json]) -> str:
    if entry["waiting_on"] in WAITS:
        return WAITS[entry["waiting_on"]]
    if entry["status"] == "waiting":
        return "for nodes before it"
    if entry.get("child"):
        return f"for its execution {entry['child']} (awr why says what that waits for)"
    if entry.get("passes"):
        return "for its passes, which executions of their own run (awr list --all shows them)"
    return "for a worker: it was ordered, and its order or result is in no queue any more"


def title(document: Mapping[str, Json]) -> Line:
    """Workflow, status and id of an execution."""
    status = document["status"]
    ended = epoch_ms(document["ended_at"])
    took = f" in {seconds_text((ended - epoch_ms(document['started_at'])) / 1000)}" if ended else ""
    return [
        (document["workflow_id"], "bold"),
        f" version {document['workflow_version']} ",
        (status, STATUS_STYLES.get(status, OPEN_STYLE)),
        took,
        (f"  {document['execution_id']}", "dim"),
    ]


def usage_text(usage: Mapping[str, Json]) -> str:
    """What models have used, and what that costs."""
    requests = usage["requests"]
    cost = f", ${usage['usd']:,.4f}" if usage.get("usd") is not None else ""
    tokens = f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out"
    return f"{counted(requests, 'request')}, {tokens}{cost}"


def _usage(usage: Mapping[str, Json]) -> Line:
    by = f" ({', '.join(visible(model) for model in usage['by_model'])})"
    return [("models: ", "dim"), usage_text(usage), (by, "dim")]


def _suspension(suspension: Mapping[str, Json]) -> Line:
    """Since when, by whom and why an execution stands still."""
    by = f" by {suspension['by']}" if suspension["by"] else ""
    reason = f": {suspension['reason']}" if suspension["reason"] else ""
    held = suspension["held"]
    return [
        ("suspended", OPEN_STYLE),
        f" since {suspension['since']}{by}{visible(reason)}; {counted(held, 'event')} held",
    ]


def _row(id: str, entry: Mapping[str, Json], width: int, room: int) -> Line:
    symbol, style = mark(entry["status"])
    name = shorten(id, ID_COLUMNS_MAX)
    head = f"{symbol} {name}{' ' * (width - columns(name))}"
    spans: list[Span | str] = [
        (symbol, style),
        head[len(symbol) :],
        (f"  {entry['status']:<{STATUS_COLUMNS}}", style),
        (f"{duration(entry):>{TIME_COLUMNS}}", "dim"),
    ]
    left = max(room - columns(head) - STATUS_COLUMNS - TIME_COLUMNS - 5, DETAIL_COLUMNS_MIN)
    detail, detail_style = _detail(entry, left)
    if detail:
        spans += ["  ", (detail, detail_style)]
    return spans


def _detail(entry: Mapping[str, Json], room: int) -> Span:
    tries = f"attempt {entry['attempts']}: " if entry["attempts"] > 1 else ""
    if entry["error"]:
        return shorten(f"{tries}{error_line(entry['error'])}", room), "red"
    if entry["status"] == "success":
        return tries + preview(entry["output"], max(room - len(tries), DETAIL_COLUMNS_MIN)), ""
    return tries.removesuffix(": "), "dim"


def _remarks(id: str, entry: Mapping[str, Json]) -> list[str]:
    remarks = [f"{id}: {warning}" for warning in entry["warnings"]]
    if entry["unresolved"]:
        remarks.append(f"{id}: nothing was found at {', '.join(entry['unresolved'])}")
    return remarks


def _error(error: Mapping[str, Json]) -> list[Line]:
    where = f"node {error['node']}: " if error.get("node") else ""
    first, *rest = str(error["message"]).splitlines() or [""]
    return [
        [("failed: ", "bold red"), (where, "bold"), error_text(error["type"], first)],
        *(f"  {line}" for line in rest),
    ]


def _compensation(document: Mapping[str, Json]) -> Iterator[Line]:
    """What was undone, and what could not be."""
    entries = document.get("compensations")
    if not isinstance(entries, list) or not entries:
        return
    undone = [entry["node"] for entry in entries if entry["status"] == "success"]
    if undone:
        yield [("undone: ", "bold yellow"), ", ".join(undone)]
    for entry in entries:
        if entry["status"] == "failed":
            error = entry["error"] or {"type": "", "message": ""}
            yield [
                ("not undone: ", "bold red"),
                (entry["node"], "bold"),
                f" {error_line(error)}",
            ]


def _show_output(out: Output, output: Json) -> None:
    lines = msgspec.json.format(msgspec.json.encode(output), indent=2).decode().splitlines()
    out.line()
    out.line([("output", "bold")])
    shown = lines if out.console is None else [cut(line) for line in lines[:OUTPUT_LINES_MAX]]
    for line in shown:
        out.line(line)
    if len(shown) < len(lines):
        out.line([(f"… {len(lines) - len(shown)} more lines; --json prints all", "dim")])
