"""The table of functions: families enter theirs with `function`, special forms are declared here."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.language.json_values import Json


class Function(msgspec.Struct, frozen=True):
    """One function. ``signature`` is what a hint shows; ``most`` -1 means any number of arguments.

    ``call`` takes the scope and the arguments' values; None marks a special form, which the compiler builds itself.
    ``selects``: the result is one of the arguments or a part of one, so it is never new.
    """

    name: str
    signature: str
    least: int
    most: int
    call: Callable[..., Json] | None = None
    selects: bool = False

    def accepts(self, count: int) -> bool:
        return self.least <= count and (self.most < 0 or count <= self.most)

    @property
    def expected(self) -> str:
        """The number of arguments in words."""
        number = f"at least {self.least}" if self.most < 0 else str(self.least)
        if self.most > self.least:
            number = f"{self.least} to {self.most}"
        return f"{number} argument{'' if number.endswith(' 1') or number == '1' else 's'}"


FUNCTIONS: dict[str, Function] = {}
"""Every function by name; the language guide prints it."""

ITEM_FUNCTIONS = frozenset({"filter", "map", "any_of", "all_of", "count_by"})
"""Functions whose second argument is an expression over ``item``, evaluated per element."""

PATH_FUNCTIONS = frozenset({"exists", "required"})
"""Functions that ask about a path, not about its value."""


def function(
    signature: str, least: int, most: int | None = None, *, selects: bool = False
) -> Callable[[Callable[..., Json]], Callable[..., Json]]:
    """Enter a function under the name in ``signature``; ``most`` defaults to ``least``."""

    def enter(call: Callable[..., Json]) -> Callable[..., Json]:
        name = signature.partition("(")[0]
        FUNCTIONS[name] = Function(name, signature, least, least if most is None else most, call, selects)
        return call

    return enter


def _form(signature: str, least: int, most: int | None = None, *, selects: bool = False) -> None:
    name = signature.partition("(")[0]
    FUNCTIONS[name] = Function(name, signature, least, least if most is None else most, None, selects)


_form("filter(list, expression over item)", 2)
_form("map(list, expression over item)", 2)
_form("any_of(list, expression over item)", 1, 2)
_form("all_of(list, expression over item)", 1, 2)
_form("count_by(list, expression over item)", 2)
_form("exists(path)", 1)
_form("required(path)", 1, selects=True)
_form("default(x, other)", 2, selects=True)
_form("coalesce(a, b, …)", 1, -1, selects=True)
