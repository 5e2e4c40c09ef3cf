"""Approvals as people find them: an item each, which follows what the execution's state says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.awaited import Answer
from workflow_runtime.engine.commands import AskApproval, UpdateApproval
from workflow_runtime.errors import RequestError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Absent, Attribute, Below, Blobs, ConditionFailed, Item, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.payloads import get_json, get_payload, pack, pack_bytes, put_payload
from workflow_runtime.storage.records import Header

_ID = re.compile(r"([A-Za-z0-9_-]{1,64})\.([1-9][0-9]{0,11})")  # see `engine.identity.approval_id`
_names = msgspec.json.Decoder(tuple[str, ...])
_answers = msgspec.json.Decoder(tuple[Answer, ...])


def parts_of(id: str) -> tuple[str, int]:
    """The execution of an approval, and its number there. Raises `RequestError` (``not_found``)."""
    match = _ID.fullmatch(id)
    if match is None:
        raise RequestError("not_found", f"there is no approval {id[:100]!r}")
    return match[1], int(match[2])


class StoredApproval(msgspec.Struct, frozen=True, kw_only=True):
    """What people were asked, and what they have said. Times are epoch ms (0: there is none).

    - ``data``: what an item holds of what they are shown
    - ``outcome``: approved, rejected, timeout or cancelled; "" while it is open
    - ``version``: of the execution's commit that wrote it
    - ``kind``, ``tool``: what asks, if it is not a node but a call of an agent, and which tool that calls
    - ``form``: what an item holds of the JSON Schema of the data of such a call
    """

    execution_id: str
    number: int
    workflow_id: str
    workflow_version: int
    plan_hash: str
    path: str
    serial: int
    asked_at: int
    prompt: str = ""
    assignees: tuple[str, ...] = ()
    quorum: int = 1
    data: Attribute = None
    answers: tuple[Answer, ...] = ()
    escalates_at: int = 0
    expires_at: int = 0
    ended_at: int = 0
    outcome: str = ""
    version: int = 0
    kind: str = ""
    tool: str = ""
    form: Attribute = None

    @property
    def position(self) -> str:
        """In the list of its kind."""
        return keys.approvals(self.execution_id, self.number, self.asked_at, is_open=not self.outcome).sort


class ApprovalStore:
    def __init__(self, table: Table, blobs: Blobs) -> None:
        self._table = table
        self._blobs = blobs

    def note(self, header: Header, version: int, commands: Sequence[AskApproval | UpdateApproval]) -> None:
        """Write what a commit says of approvals. Of an item, commits before the one that wrote it last change nothing:
        then a slower dispatcher is late."""
        for number in dict.fromkeys(command.approval for command in commands):
            own = [command for command in commands if command.approval == number]
            if isinstance(own[0], AskApproval):
                asked = _changed(self._asked(header, own[0]), own[1:])
                with suppress(ConditionFailed):  # it was written already
                    self._table.put(self._item(replace(asked, version=version)), Absent())
            elif (found := self.get(header.execution_id, number)) is not None:
                item = self._item(replace(_changed(found, own), version=version))
                with suppress(ConditionFailed):
                    self._table.update(item.key, item.attributes, Below("v", version), item.index)

    def get(self, execution_id: str, number: int) -> StoredApproval | None:
        key = keys.approval(execution_id, number)
        item = self._table.get([key]).get(key)
        return self._approval(item) if item is not None else None

    def of_execution(self, execution_id: str) -> list[StoredApproval]:
        """All of an execution, in the order in which they were asked."""
        return [self._approval(item) for item in self._table.query(f"EX#{execution_id}", keys.APPROVAL_PREFIX)]

    def list(self, *, is_open: bool, limit: int, before: str | None = None) -> list[StoredApproval]:
        """Those that were asked last come first; ``before`` is the position of the last one of the page before."""
        partition = keys.OPEN_APPROVALS if is_open else keys.ENDED_APPROVALS
        return [self._approval(item) for item in self._table.query_index(partition, "", before=before, limit=limit)]

    def data(self, approval: StoredApproval) -> Json:
        """What people are shown."""
        return get_payload(self._blobs, approval.data)

    def form(self, approval: StoredApproval) -> Json:
        """JSON Schema of the data, of a call of an agent; None: any data will do."""
        return get_payload(self._blobs, approval.form)

    def said(self, answer: Answer) -> Json:
        """What somebody would have in place of that; `UNSET` if nothing."""
        return answer.data if answer.blob is None else get_payload(self._blobs, answer.blob)

    def _asked(self, header: Header, command: AskApproval) -> StoredApproval:
        number = command.approval
        place = f"executions/{header.execution_id}/approvals/{number}"
        data: Attribute = command.blob
        if data is None and command.data is not None:
            data = put_payload(self._blobs, place, pack(command.data))
        form: Attribute = command.form_blob
        if form is None and command.form is not None:
            form = put_payload(self._blobs, f"{place}/form", pack(command.form))
        return StoredApproval(
            execution_id=header.execution_id,
            number=number,
            workflow_id=header.workflow_id,
            workflow_version=header.workflow_version,
            plan_hash=header.plan_hash,
            path=command.path,
            serial=command.serial,
            asked_at=command.at,
            prompt=command.prompt,
            assignees=command.assignees,
            quorum=command.quorum,
            data=data,
            escalates_at=command.escalates_at,
            expires_at=command.expires_at,
            kind=command.kind,
            tool=command.tool,
            form=form,
        )

    def _item(self, approval: StoredApproval) -> Item:
        execution_id, number = approval.execution_id, approval.number
        place = f"executions/{execution_id}/approvals/{number}/answers.{approval.version}"
        answers = put_payload(self._blobs, place, pack_bytes(msgspec.json.encode(approval.answers)))
        attributes: dict[str, Attribute] = {
            "v": approval.version,
            "number": number,
            "workflow": approval.workflow_id,
            "version": approval.workflow_version,
            "plan": approval.plan_hash,
            "path": approval.path,
            "serial": approval.serial,
            "asked_at": approval.asked_at,
            "prompt": approval.prompt,
            "assignees": msgspec.json.encode(approval.assignees),
            "quorum": approval.quorum,
            "data": approval.data,
            "answers": answers,
            "escalates_at": approval.escalates_at,
            "answer_until": approval.expires_at,
            "ended_at": approval.ended_at,
            "outcome": approval.outcome,
        }
        if approval.kind:
            attributes |= {"kind": approval.kind, "tool": approval.tool, "form": approval.form}
        index = keys.approvals(execution_id, number, approval.asked_at, is_open=not approval.outcome)
        return Item(keys.approval(execution_id, number), attributes, index)

    def _approval(self, item: Item) -> StoredApproval:
        values = item.attributes
        return StoredApproval(
            execution_id=item.key.partition.removeprefix("EX#"),
            number=int(values["number"] or 0),
            workflow_id=str(values["workflow"]),
            workflow_version=int(values["version"] or 0),
            plan_hash=str(values["plan"]),
            path=str(values["path"]),
            serial=int(values["serial"] or 0),
            asked_at=int(values["asked_at"] or 0),
            prompt=str(values["prompt"] or ""),
            assignees=_names.decode(values["assignees"]),  # type: ignore[arg-type]  # `_item` wrote bytes
            quorum=int(values["quorum"] or 0),
            data=values["data"],
            answers=_answers.decode(get_json(self._blobs, values["answers"])),
            escalates_at=int(values["escalates_at"] or 0),
            expires_at=int(values.get("answer_until", values[keys.EXPIRES]) or 0),  # its name in earlier versions
            ended_at=int(values["ended_at"] or 0),
            outcome=str(values["outcome"] or ""),
            version=int(values["v"] or 0),
            kind=str(values.get("kind") or ""),
            tool=str(values.get("tool") or ""),
            form=values.get("form"),
        )


def _changed(approval: StoredApproval, commands: Iterable[AskApproval | UpdateApproval]) -> StoredApproval:
    """The approval after these changes; a person's answer takes the place of an earlier one."""
    for command in commands:
        if not isinstance(command, UpdateApproval):
            continue
        if (said := command.answer) is not None:
            others = tuple(answer for answer in approval.answers if answer.by != said.by)
            approval = replace(approval, answers=(*others, said))
        if command.assignees:
            approval = replace(approval, assignees=command.assignees)
        if command.outcome:
            approval = replace(approval, outcome=command.outcome, ended_at=command.at)
    return approval
