"""How `awr run` plays people: decisions given with ``--approve`` and ``--reject``, or asked for on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING

import msgspec
import typer
from msgspec import UNSET

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.approvals import PROMPT_COLUMNS, approval_lines
from workflow_runtime.frontends.cli.errors import usage_error
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.typed_json import DuplicateKey, read_typed
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.texts import shorten
from workflow_runtime.plan.addresses import static_path
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec

if TYPE_CHECKING:
    from pathlib import Path

    from workflow_runtime.runtime.in_process import LocalRuntime

ANYBODY = "cli"  # who answers what asks nobody by name; others after it have a number, where more than one must


class Decision(msgspec.Struct, frozen=True):
    """What is answered, and with what ``data`` and ``comment``."""

    approved: bool
    data: Json = UNSET
    comment: str = ""


def parse_decisions(approvals: Sequence[str], rejections: Sequence[str]) -> dict[str, list[Decision]]:
    """By path, in the order in which they are made: rejections (``PATH`` or ``PATH=COMMENT``), then approvals (``PATH``
    or ``PATH=JSON``, the data). Raises `CliError`."""
    found: dict[str, list[Decision]] = {}
    for text in rejections:
        path, _, comment = text.partition("=")
        found.setdefault(_path(path, "--reject"), []).append(Decision(False, comment=comment))
    for text in approvals:
        path, given, data = text.partition("=")
        value = read_json(data, f"--approve {path}", f"the data of approval {path!r}") if given else UNSET
        found.setdefault(_path(path, "--approve"), []).append(Decision(True, value))
    return found


def check_decisions(decisions: Mapping[str, object], plans: Sequence[Plan]) -> None:
    """Raises `CliError` (usage) for a path at which no approval is."""
    known = [path for plan in plans for path in (*plan.approvals, *_agents(plan))]
    for path in decisions:
        if static_path(path) not in known:
            there = did_you_mean(path, known) or (f"approvals: {', '.join(known)}" if known else "it has no approvals")
            raise usage_error(f"--approve, --reject: there is no approval {path!r}", there)


def _agents(plan: Plan) -> Iterator[str]:
    """Paths of the nodes whose calls may ask people."""
    for block in plan.blocks:
        yield from (block.prefix + node.id for node in block.nodes if isinstance(node.spec, AgentSpec))


def _path(text: str, option: str) -> str:
    if not text.strip():
        raise usage_error(f"{option} names no node", f"{option} PATH: the path of an approval")
    return text.strip()


class Decisions:
    """Of one execution. ``given``: of `parse_decisions`; the last of a path holds for all that follow. ``db``: the file
    in which it is kept, if it is. ``asks``: somebody at a terminal can be asked for the others."""

    def __init__(
        self,
        out: Output,
        runtime: LocalRuntime,
        execution_id: str,
        given: Mapping[str, list[Decision]],
        db: Path | None,
        *,
        asks: bool,
    ) -> None:
        self._out = out
        self._runtime = runtime
        self._id = execution_id
        self._given = {path: list(decisions) for path, decisions in given.items()}
        self._db = db
        self._asks = asks
        self._chosen: dict[str, Decision] = {}
        self._said: dict[str, int] = {}
        """By approval that was answered here: how many answers it had by then."""

    def decide_given(self) -> bool:
        """Answer what is open and has a given decision; whether there was any."""
        decided = False
        for approval in self._to_decide():
            decision = self._decision(approval)
            if decision is not None:
                self._answer(approval, decision)
                decided = True
        return decided

    def are_asked(self) -> bool:
        """Whether something is asked that can be decided here."""
        return any(self._asks or self._decision(approval) is not None for approval in self._to_decide())

    @property
    def must_ask(self) -> bool:
        """Whether somebody at the terminal has to decide something."""
        return self._asks and any(self._decision(approval) is None for approval in self._to_decide())

    def ask(self) -> None:
        """Ask for one decision; who does not decide is not asked again."""
        approval = next(approval for approval in self._to_decide() if self._decision(approval) is None)
        document = self._runtime.services.approval_views.get(approval["id"])
        self._out.note()
        for line in approval_lines(document):
            self._out.note(line)
        said = ""
        while said not in ("y", "n", "l"):
            said = typer.prompt("approve? [y]es, [n]o, [l]ater", default="l", err=True).strip().lower()[:1]
        if said == "l":
            self._asks = False
            return
        try:
            data = _filled(document["form"], document["data"]) if said == "y" else UNSET
            comment = typer.prompt("comment", default="", show_default=False, err=True)
            self._answer(document, Decision(said == "y", data, comment))
        except RequestError as error:  # the data, most likely: the next round asks again
            self._out.note([("not taken: ", "yellow"), error.message])

    def hints(self) -> Iterator[Line]:
        """How what is asked can be answered."""
        for approval in self.open():
            data = "=JSON" if approval["kind"] == "node" else ""
            name = ["--as", approval["assignees"][0]] if approval["assignees"] else []
            command = shlex.join(["awr", "approve", approval["id"], *name, "--db", str(self._db)])
            later = f", or {command}" if self._db is not None else ""
            yield [("asked: ", "cyan"), (approval["path"], "bold"), f" {shorten(approval['prompt'], PROMPT_COLUMNS)}"]
            yield [("hint: ", "cyan"), f"--approve {approval['path']}{data}{later}"]

    def open(self) -> Sequence[dict[str, Json]]:
        """What people are asked now, in the order it was asked."""
        return self._runtime.services.approval_views.of_execution(self._id)

    def _to_decide(self) -> Iterator[dict[str, Json]]:
        """What is open, without what was answered here and has not taken that answer yet."""
        return (approval for approval in self.open() if len(approval["answers"]) > self._said.get(approval["id"], -1))

    def _decision(self, approval: Mapping[str, Json]) -> Decision | None:
        """One for all who answer the same approval."""
        chosen = self._chosen.get(approval["id"])
        if chosen is None:
            path = approval["path"]
            given = self._given.get(path) or self._given.get(static_path(path))
            if not given:
                return None
            chosen = self._chosen[approval["id"]] = given.pop(0) if len(given) > 1 else given[0]
        return chosen

    def _answer(self, approval: Mapping[str, Json], decision: Decision) -> None:
        """Raises `RequestError`."""
        heard = {answer["by"] for answer in approval["answers"]}
        anybody = chain([ANYBODY], (f"{ANYBODY}-{number}" for number in count(2)))
        by = next(name for name in chain(approval["assignees"], anybody) if name not in heard)
        data, comment = decision.data, decision.comment
        approvals = self._runtime.services.approvals
        approvals.answer(approval["id"], decision.approved, by=by, data=data, comment=comment)
        self._said[approval["id"]] = len(approval["answers"])
        word, style = ("approved", "green") if decision.approved else ("rejected", "red")
        self._out.note([(f"{word}: ", style), (approval["path"], "bold"), f" by {by}"])


def _filled(form: Json, data: Json) -> Json:
    """What somebody types into a form: a value for each of its properties, the one that is shown by default. Without
    properties, all of the data as JSON, if there is a form."""
    properties = form.get("properties") if isinstance(form, dict) else None
    if not isinstance(properties, dict) or not properties:
        return UNSET if form is None else _typed("data", form, data)
    shown = data if isinstance(data, dict) else {}
    values = {name: _typed(name, schema, shown.get(name, UNSET)) for name, schema in properties.items()}
    return {name: value for name, value in values.items() if value is not UNSET}


def _typed(name: str, schema: Json, shown: Json) -> Json:
    """A value as it is typed: text where the form wants text, else JSON. Nothing typed leaves what is shown."""
    wants_text = isinstance(schema, dict) and schema.get("type") == "string"
    title = schema.get("title", name) if isinstance(schema, dict) else name
    before = "" if shown is UNSET else shown if wants_text else msgspec.json.encode(shown).decode()

    def read(text: str) -> Json:
        if text == before:
            return shown
        return text if wants_text else _json_or_text(text)

    return typer.prompt(f"  {title}", default=before, show_default=bool(before), err=True, value_proc=read)


def _json_or_text(text: str) -> Json:
    """Anything but JSON is text; whether the form takes it is its business. Raises `typer.BadParameter`: it is asked
    for again."""
    try:
        return read_typed(text)
    except DuplicateKey as error:
        raise typer.BadParameter(f"the key `{error}` stands twice") from None
    except msgspec.DecodeError:
        return text
