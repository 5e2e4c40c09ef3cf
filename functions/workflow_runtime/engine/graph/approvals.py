"""Approvals: nodes that wait for what people say.

Who is asked and what they have said stands in the table of pending things, so that answers are judged here, one after
the other; what people see of it is kept apart, and follows (`AskApproval`, `UpdateApproval`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from workflow_runtime.engine import pending
from workflow_runtime.engine.awaited import Answer, Approval, Pending, Purpose, Rules, Wait
from workflow_runtime.engine.commands import AskApproval, UpdateApproval
from workflow_runtime.engine.events import ApprovalAnswered, ApprovalDelegated
from workflow_runtime.engine.graph import outcome
from workflow_runtime.engine.graph.asking import people_of, prompt_of, quorum_of
from workflow_runtime.engine.graph.outcome import Result, Yielded
from workflow_runtime.engine.graph.policy import REJECT, TIMEOUT, Failure
from workflow_runtime.engine.graph.scope import GraphScope
from workflow_runtime.engine.graph.waits import begin, duration_seconds
from workflow_runtime.engine.identity import approval_id
from workflow_runtime.engine.pending import Resolution
from workflow_runtime.engine.values.evaluation import iso_time
from workflow_runtime.errors import ErrorDocument
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.schemas import violation
from workflow_runtime.language.texts import cut
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.specs import ApprovalSpec, Spec

PROMPT_KEPT_CHARS_MAX = 500  # in the state
DATA_KEPT_BYTES_MAX = 1_024  # of what is shown: more is stored apart, beside the state

ReadBlob = Callable[[str], Json]

FREE = Rules()
"""Of calls that say nothing else: any data will do, and one rejection is enough."""


class Decided(msgspec.Struct, frozen=True):
    """What people have said of a call of an agent; ``data``: what they would have in place of what they were shown."""

    call: str
    approved: bool
    by: str
    comment: str
    data: Json = UNSET


class Refused(msgspec.Struct, frozen=True):
    """Why an answer has no effect. ``code``: as in `RequestError`."""

    code: str
    message: str


def start(scope: GraphScope, node: int) -> None:
    """Ask. Raises `ValuesMissing`, `EvaluationError`, `NodeError`."""
    spec = _spec(scope, node)
    now = scope.turn.now
    prompt = prompt_of(scope.evaluate(spec.prompt, node)) if spec.prompt is not None else ""
    assignees, later = (
        people_of(scope.evaluate(formula, node), field) if formula is not None else ()
        for formula, field in ((spec.assignees, "assignees"), (spec.escalate_to, "escalate_to"))
    )
    quorum = scope.evaluate(spec.quorum, node) if isinstance(spec.quorum, Formula) else spec.quorum
    quorum = quorum_of(quorum, {*assignees, *later})
    shown = scope.evaluate(spec.data, node) if spec.data is not None else None
    escalates_at, expires_at = (
        now + round(duration_seconds(scope, node, value) * 1000) if value is not None else 0
        for value in (spec.escalate_after, spec.timeout)
    )
    number = scope.turn.next_number()
    approval = Approval(number, quorum, assignees, later, prompt=prompt)
    _ask(scope, node, approval, escalates_at, expires_at, data=shown)


def ask_of_call(scope: GraphScope, node: int, wait: Wait) -> str:
    """Ask about a call of the agent ``node``; what it then waits for, by its id in the table."""
    number, now = scope.turn.next_number(), scope.turn.now
    approval = Approval(
        number,
        wait.quorum,
        wait.assignees,
        wait.later,
        blob=wait.blob,
        prompt=wait.prompt,
        call=wait.id,
        rules=wait.rules,
    )
    escalates_at, expires_at = (now + after if after else 0 for after in (wait.escalate_after, wait.timeout))
    rules = wait.rules or FREE
    shown = {"data": wait.data, "blob": wait.blob, "form": rules.form, "form_blob": rules.form_blob}
    _ask(scope, node, approval, escalates_at, expires_at, kind=wait.kind, tool=wait.target, **shown)
    return pending.approval_entry(number)


def _ask(scope: GraphScope, node: int, approval: Approval, escalates_at: int, expires_at: int, **shown: Any) -> None:
    """Have people asked. ``shown``: fields of `AskApproval` which neither the approval nor its node has."""
    prompt = approval.prompt
    kept, keep = replace(approval, prompt=cut(prompt, PROMPT_KEPT_CHARS_MAX)), ""
    if approval.blob is None:
        kept, keep = _kept(scope, kept, shown["data"])
    pending.ask(scope, node, kept)
    for purpose, due in ((Purpose.ESCALATION, escalates_at), (Purpose.TIMEOUT, expires_at)):
        if due:
            pending.start_timer(scope, node, purpose, due, name=approval.call)
    if not approval.call:  # an agent has begun long before
        begin(scope, node)
    command = AskApproval(
        approval.number,
        scope.path(node),
        scope.graph.serial(node),
        scope.turn.now,
        prompt,
        approval.assignees,
        approval.quorum,
        keep=keep,
        escalates_at=escalates_at,
        expires_at=expires_at,
        **shown,
    )
    scope.commands.append(command)
    _announce(scope, node, approval, approval.assignees, "asked", expires_at)


def resolved(scope: GraphScope, node: int, what: Resolution) -> None:
    """A time has come. Raises `ValuesMissing`."""
    assert isinstance(what, Pending), "answers come to `answer`"
    approval = _approval(scope, node)
    if what.purpose is Purpose.ESCALATION:
        escalate(scope, node, approval)
        return
    error = ErrorDocument.of("timeout", "nobody decided in time", scope.path(node))
    output = _output(scope, approval, None)
    update = UpdateApproval(approval.number, scope.turn.now, outcome="timeout")
    _decide(scope, node, approval, update, Failure(error, own=TIMEOUT, instead=output))


def escalate(scope: GraphScope, node: int, approval: Approval) -> None:
    """It has taken long: those are asked, too, who were named for that."""
    more = tuple(name for name in approval.later if name not in approval.assignees)
    approval = replace(approval, assignees=(*approval.assignees, *more), later=())
    _ask_others(scope, approval)
    _announce(scope, node, approval, more, "escalated")


def answer(scope: GraphScope, node: int, event: ApprovalAnswered) -> Decided | str:
    """Take an answer; why it has no effect, or "". Of a call of an agent, what was decided, which its agent is to be
    told. Raises `ValuesMissing`."""
    approval = _approval(scope, node, event.approval)
    rules = rules_of(scope.block.nodes[node].spec, approval)
    refused = cannot_answer(rules, approval, event, scope.turn.blob)
    if refused is not None:
        return refused.message
    said = Answer(event.by, event.approved, scope.turn.now, event.comment, event.data, event.blob)
    others = tuple(answer for answer in approval.answers if answer.by != event.by)
    approval = replace(approval, answers=(*others, said))
    update = UpdateApproval(approval.number, scope.turn.now, said)
    approved = _verdict(rules, approval)
    if approved is None:
        pending.change_approval(scope, approval)
        scope.commands.append(update)
        return ""
    if approval.call:
        return _decide_call(
            scope, node, approval, replace(update, outcome="approved" if approved else "rejected"), said
        )
    output = _output(scope, approval, said)
    if approved:
        _decide(scope, node, approval, replace(update, outcome="approved"), Yielded(output))
    else:
        failure = Failure(_rejection(scope, node, said), own=REJECT, instead=output)
        _decide(scope, node, approval, replace(update, outcome="rejected"), failure)
    return ""


def _decide_call(scope: GraphScope, node: int, approval: Approval, update: UpdateApproval, said: Answer) -> Decided:
    """Raises `ValuesMissing`."""
    changed = any(answer.data is not UNSET or answer.blob is not None for answer in approval.answers)
    data = data_after(approval, approval.answers, said, scope.turn.blob) if changed else UNSET
    scope.commands.append(update)
    pending.decided_call(scope, node, approval)
    return Decided(approval.call, update.outcome == "approved", said.by, said.comment, data)


def _rejection(scope: GraphScope, node: int, said: Answer) -> ErrorDocument:
    because = f": {said.comment}" if said.comment else ""
    return ErrorDocument.of("rejected", f"{said.by or 'somebody'} rejected it{because}", scope.path(node))


def delegate(scope: GraphScope, node: int, event: ApprovalDelegated) -> str:
    """Ask somebody else instead of one who was asked; why that has no effect, or ""."""
    approval = _approval(scope, node, event.approval)
    refused = cannot_delegate(rules_of(scope.block.nodes[node].spec, approval), approval, event)
    if refused is not None:
        return refused.message
    names = (event.to if name == event.by else name for name in approval.assignees)
    approval = replace(approval, assignees=tuple(dict.fromkeys(names)))
    _ask_others(scope, approval)
    _announce(scope, node, approval, (event.to,), "delegated")
    return ""


# ---- what may be said


def cannot_answer(rules: Rules, approval: Approval, event: ApprovalAnswered, read: ReadBlob) -> Refused | None:
    """Why the answer would have no effect now; ``read``: gets what was stored apart."""
    if approval.assignees and event.by not in approval.assignees:
        return Refused("forbidden", _not_asked(event.by))
    before = next((answer for answer in approval.answers if answer.by == event.by), None)
    if before is not None and rules.second_answer == "refuse":
        said = "approved" if before.approved else "rejected"
        who = event.by or "the unnamed caller"
        return Refused("refused", f"{who} has {said} it already, and a second answer is refused")
    if event.approved or event.data is not UNSET or event.blob is not None:
        said_now = Answer(event.by, event.approved, 0, "", event.data, event.blob)
        others = tuple(answer for answer in approval.answers if answer.by != event.by)
        problem = _violation(rules, data_after(approval, (*others, said_now), said_now, read), read)
        if problem:
            return Refused("invalid_request", f"the data does not match the form: {problem}")
    return None


def cannot_delegate(rules: Rules, approval: Approval, event: ApprovalDelegated) -> Refused | None:
    """Why another cannot be asked instead now."""
    if not approval.assignees:
        return Refused("refused", "nobody is named in it, so whoever may call the API may answer")
    if event.by not in approval.assignees:
        return Refused("forbidden", _not_asked(event.by))
    if not rules.delegate:
        return Refused("refused", "this approval cannot be delegated (`delegate: false`)")
    if any(answer.by == event.by for answer in approval.answers):
        return Refused("refused", f"{event.by} has answered it already")
    if event.to in approval.assignees or event.to in approval.later:
        return Refused("refused", f"{event.to} is asked already, or will be")
    return None


def _not_asked(name: str) -> str:
    who = f"{name} is" if name else "you are"
    return f"{who} not among those who are asked" + ("" if name else ": nobody can tell who you are")


def _violation(rules: Rules, data: Json, read: ReadBlob) -> str | None:
    form = read(rules.form_blob) if rules.form_blob is not None else rules.form
    return violation(form, data) if form is not None else None


def data_after(approval: Approval, answers: Sequence[Answer], last: Answer | None, read: ReadBlob) -> Json:
    """What was shown with the changes of all who have approved and of ``last``, in the order of their answers."""
    data = read(approval.blob) if approval.blob is not None else approval.data
    for said in answers:
        if (said.approved or said is last) and (said.data is not UNSET or said.blob is not None):
            change = read(said.blob) if said.blob is not None else said.data
            data = {**data, **change} if isinstance(data, dict) and isinstance(change, dict) else change
    return data


# ---- what follows


def _verdict(rules: Rules, approval: Approval) -> bool | None:
    """Whether it is approved (True) or rejected; None: others still have to answer."""
    approvals = sum(answer.approved for answer in approval.answers)
    if approvals >= approval.quorum:
        return True
    if rules.veto:
        return False if approvals < len(approval.answers) else None
    heard = {answer.by for answer in approval.answers}
    silent = {*approval.assignees, *approval.later} - heard
    return False if approvals + len(silent) < approval.quorum else None


def _decide(scope: GraphScope, node: int, approval: Approval, update: UpdateApproval, result: Result) -> None:
    scope.commands.append(update)
    pending.decided(scope, node, approval)
    outcome.conclude(scope, node, result)


def _ask_others(scope: GraphScope, approval: Approval) -> None:
    pending.change_approval(scope, approval)
    scope.commands.append(UpdateApproval(approval.number, scope.turn.now, assignees=approval.assignees))


def _output(scope: GraphScope, approval: Approval, last: Answer | None) -> dict[str, Json]:
    """Raises `ValuesMissing`."""
    read = scope.turn.blob
    return {
        "approved": last is not None and last.approved,
        "by": (last.by or None) if last is not None else None,
        "at": iso_time(scope.turn.now),
        "data": data_after(approval, approval.answers, last, read),
        "comment": last.comment if last is not None else "",
        "answers": [_answer_value(answer, read) for answer in approval.answers],
    }


def _answer_value(said: Answer, read: ReadBlob) -> dict[str, Json]:
    data = read(said.blob) if said.blob is not None else said.data
    value: dict[str, Json] = {"by": said.by or None, "approved": said.approved, "at": iso_time(said.at)}
    return {**value, "comment": said.comment, **({} if data is UNSET else {"data": data})}


def _announce(
    scope: GraphScope,
    node: int,
    approval: Approval,
    names: tuple[str, ...],
    reason: str,
    expires_at: int = 0,
) -> None:
    """Publish that these people are asked, whatever events the workflow wants: without it, nobody would know."""
    scope.turn.publish(
        "approval.requested",
        approval_id=approval_id(scope.turn.state.execution_id, approval.number),
        path=scope.path(node),
        reason=reason,
        assignees=list(names),
        quorum=approval.quorum,
        **({"prompt": approval.prompt} if approval.prompt else {}),
        **({"expires_at": expires_at} if expires_at else {}),
    )


# ---- what it is made of


def _spec(scope: GraphScope, node: int) -> ApprovalSpec:
    spec = scope.block.nodes[node].spec
    assert isinstance(spec, ApprovalSpec)
    return spec


def rules_of(spec: Spec, approval: Approval) -> Rules:
    """By which rules people answer what a node with this spec asks: those of the node, or of the call of its agent."""
    if isinstance(spec, ApprovalSpec):
        return Rules(spec.form, veto=spec.veto, second_answer=spec.second_answer, delegate=spec.delegate)
    return approval.rules or FREE


def _approval(scope: GraphScope, node: int, number: int = 0) -> Approval:
    """The one of this number, or the one that there is."""
    asked = (entry.approval for _, entry in pending.owned(scope, node) if entry.approval is not None)
    return next(approval for approval in asked if number in (0, approval.number))


def _kept(scope: GraphScope, approval: Approval, shown: Json) -> tuple[Approval, str]:
    """The approval with what is shown, or with where that must be stored, which is the second value."""
    data = msgspec.json.encode(shown)
    if len(data) <= DATA_KEPT_BYTES_MAX:
        return replace(approval, data=shown), ""
    digest = hashlib.sha256(data).hexdigest()[:40]
    key = f"executions/{scope.turn.state.execution_id}/approvals/{approval.number}.{digest}"
    return replace(approval, blob=key), key
