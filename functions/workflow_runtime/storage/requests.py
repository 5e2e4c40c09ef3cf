"""Requests of callers that name them by keys of their own: what each key was used for, and what was answered."""

from __future__ import annotations

import msgspec

from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Item, Table
from workflow_runtime.storage import keys


class KeptAnswer(msgspec.Struct, frozen=True):
    """What a request under a caller's key was answered, until then (epoch ms). ``attempt``: the execution's."""

    operation: str
    changed: bool
    until: int
    attempt: int = 1


class RequestStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def claim_event_key(self, execution_id: str, key: str, use: str) -> bool:
        """Note what a caller's key is used for; whether it was used for nothing but this ``use``."""
        place = keys.event_key(execution_id, key)
        try:
            self._table.put(Item(place, {"use": use}), Absent())
        except ConditionFailed:
            return self._table.get([place])[place].attributes["use"] == use
        return True

    def kept_answer(self, execution_id: str, key: str, now: int) -> KeptAnswer | None:
        """What the request under this key was answered, if that still counts."""
        place = keys.request_key(execution_id, key)
        item = self._table.get([place]).get(place)
        if item is None:
            return None
        values = item.attributes
        until, attempt = int(values["until"] or 0), int(values.get("attempt") or 1)
        kept = KeptAnswer(str(values["operation"]), bool(values["changed"]), until, attempt)
        return kept if kept.until > now else None

    def keep_answer(self, execution_id: str, key: str, answer: KeptAnswer, now: int) -> KeptAnswer:
        """Keep an answer under the caller's key; the one that counts: this, or that of an earlier request."""
        place = keys.request_key(execution_id, key)
        values: dict[str, Attribute] = {
            "operation": answer.operation,
            "changed": int(answer.changed),
            "until": answer.until,
            "attempt": answer.attempt,
            keys.EXPIRES: answer.until // 1000,
        }
        try:
            self._table.put(Item(place, values), Absent())
        except ConditionFailed:
            kept = self.kept_answer(execution_id, key, now)
            if kept is not None:
                return kept
            self._table.put(Item(place, values))
        return answer
