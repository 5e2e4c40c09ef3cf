"""Budgets as stored: the account of an execution or a visit, and what is drawn of a limiter's budget in a time."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.ports import Attribute, Change, Condition, ConditionFailed, Key, Table
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import LimiterName


class BudgetStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    @staticmethod
    def window(name: LimiterName, start: int) -> Key:
        """What is drawn of a limiter's budget in the window that began then (epoch ms)."""
        return keys.limiter_budget(name.name, name.key, start)

    @staticmethod
    def expiring(seconds: int) -> Mapping[str, Attribute]:
        """Attributes of an item that may be deleted then (epoch seconds)."""
        return {keys.EXPIRES: seconds}

    def balance(self, key: Key) -> Mapping[str, Attribute]:
        """The attributes of its item; none, if there is none yet."""
        item = self._table.get([key]).get(key)
        return item.attributes if item is not None else {}

    def change(self, key: Key, change: Change, condition: Condition) -> tuple[bool, Mapping[str, Attribute]]:
        """Whether the item met the condition and was changed, and what it is now."""
        try:
            return True, self._table.change(key, change, condition).attributes
        except ConditionFailed as error:
            return False, error.item.attributes if error.item is not None else {}
