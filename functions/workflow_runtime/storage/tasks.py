"""Task tokens: an item each, under the token's hash; the token itself is never stored."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from workflow_runtime.ports import Absent, Attribute, ConditionFailed, Equals, Item, Table
from workflow_runtime.storage import keys

KEPT_SECONDS = 430 * 86_400  # an execution's longest life, and a month


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What a token stands for: a run. Times are epoch ms.

    - ``heard_at``: when the last sign of life came (0: none has)
    - ``closed``: why it counts no more; "" while it does; ``closed_at``: since when
    - ``use``: digest of what it was completed or failed with
    - ``call``: of an agent, the call that it is of
    """

    execution_id: str
    path: str
    serial: int
    made_at: int
    heard_at: int = 0
    closed: str = ""
    closed_at: int = 0
    use: str = ""
    call: str = ""


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class TaskStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, hash: str, task: Task) -> None:
        """A new token."""
        attributes: dict[str, Attribute] = {
            "execution": task.execution_id,
            "path": task.path,
            "serial": task.serial,
            "made_at": task.made_at,
            "open": 1,
            keys.EXPIRES: task.made_at // 1000 + KEPT_SECONDS,
        }
        if task.call:
            attributes["call"] = task.call
        with suppress(ConditionFailed):  # our own, whose answer was lost: nobody else has this token
            self._table.put(Item(keys.task(hash), attributes), Absent())

    def get(self, hash: str) -> Task | None:
        key = keys.task(hash)
        item = self._table.get([key]).get(key)
        if item is None:
            return None
        values = item.attributes
        return Task(
            execution_id=str(values["execution"]),
            path=str(values["path"]),
            serial=int(values["serial"] or 0),
            made_at=int(values["made_at"] or 0),
            heard_at=int(values.get("heard_at") or 0),
            closed=str(values.get("closed") or ""),
            closed_at=int(values.get("closed_at") or 0),
            use=str(values.get("use") or ""),
            call=str(values.get("call") or ""),
        )

    def heard(self, hash: str, at: int) -> bool:
        """Note a sign of life: one write. False if the token counts no more, or there is none."""
        return self._update(hash, {"heard_at": at})

    def use(self, hash: str, use: str, closed: str, at: int) -> bool:
        """Let it count no more, as it was used. False if it did not count any more."""
        return self._update(hash, {"open": 0, "use": use, "closed": closed, "closed_at": at})

    def close(self, hash: str, reason: str, at: int) -> None:
        """Let it count no more, if it still does."""
        self._update(hash, {"open": 0, "closed": reason, "closed_at": at})

    def _update(self, hash: str, changes: dict[str, Attribute]) -> bool:
        try:
            self._table.update(keys.task(hash), changes, Equals("open", 1))
        except ConditionFailed:
            return False
        return True
