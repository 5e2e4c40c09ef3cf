"""The operators: what one entry of a field's list wants of a leaf of the event."""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable
from typing import Final, TypeAlias

from workflow_runtime.language.json_values import Json, kind_of

Test: TypeAlias = Callable[[Json], bool]
"""Whether a leaf (null, boolean, number or string) of an event is one that the pattern wants."""
Place: TypeAlias = tuple[str | int, ...]

OPERATORS: Final = (
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exactly",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
)
COMPARISONS: Final = ("=", "<", "<=", ">", ">=")
# Event Ruler's list: an alternative of `$or` with such a field name is none.
RESERVED: Final = frozenset(
    (
        *OPERATORS,
        *COMPARISONS,
        "regex",
        "not-wildcard",
        "not-equals-ignore-case",
        "date-after",
        "date-on-or-after",
        "date-before",
        "date-on-or-before",
        "in-date-range",
        "ip-address-in-range",
        "ip-address-not-in-range",
    )
)


class PatternError(ValueError):
    """A malformed pattern: ``message`` says what is wrong at ``place`` (keys and indices from the top)."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        self.message = message
        super().__init__(f"{place_text(place)}: {message}" if place else message)


def place_text(place: Place) -> str:
    """``detail.amount[0]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


def test_of(wanted: Json, place: Place) -> Test:
    """The test of one entry of a field's list."""
    if not isinstance(wanted, dict):
        if isinstance(wanted, list):
            raise PatternError(place, "a value is a string, number, boolean, null or an operator, not a list")
        return _equal(wanted)
    if len(wanted) != 1:
        raise PatternError(place, f"an operator is an object with one key, one of {', '.join(OPERATORS)}")
    [(name, operand)] = wanted.items()
    if name not in OPERATORS:
        raise PatternError(place, f"`{name}` is not an operator; there are {', '.join(OPERATORS)}")
    return _OPERATOR_TESTS[name](operand, (*place, name))


def _equal(wanted: Json) -> Test:
    if isinstance(wanted, str):
        address = _address(wanted)
        if address is not None:  # the same IPv6 address may be written in several ways
            return lambda value: isinstance(value, str) and (value == wanted or _address(value) == address)
        return lambda value: isinstance(value, str) and value == wanted
    if isinstance(wanted, bool) or wanted is None:
        return lambda value: value is wanted
    return lambda value: _is_number(value) and bool(value == wanted)


def _exactly(operand: Json, place: Place) -> Test:
    wanted = _text(operand, place)
    return lambda value: isinstance(value, str) and value == wanted


def _exists(operand: Json, place: Place) -> Test:
    if operand is not True:
        raise PatternError(place, f"takes true or false, not {kind_of(operand)}")
    return lambda value: True  # noqa: ARG005  whatever it is, it is there


def _prefix(operand: Json, place: Place) -> Test:
    return _affix(operand, place, str.startswith, lambda value, size: value[:size])


def _suffix(operand: Json, place: Place) -> Test:
    return _affix(operand, place, str.endswith, lambda value, size: value[max(len(value) - size, 0) :])


def _affix(operand: Json, place: Place, has: Callable[[str, str], bool], part: Callable[[str, int], str]) -> Test:
    if not isinstance(operand, dict):
        wanted = _text(operand, place)
        return lambda value: isinstance(value, str) and has(value, wanted)
    if set(operand) != {"equals-ignore-case"}:
        raise PatternError(place, "takes a string, or an object with the one key `equals-ignore-case`")
    folded = _text(operand["equals-ignore-case"], (*place, "equals-ignore-case"))
    return lambda value: isinstance(value, str) and _same_letters(part(value, len(folded)), folded)


def _ignore_case(operand: Json, place: Place) -> Test:
    wanted = _text(operand, place)
    return lambda value: isinstance(value, str) and _same_letters(value, wanted)


def _wildcard(operand: Json, place: Place) -> Test:
    first, *others = _pieces(_text(operand, place), place)
    if not others:
        return lambda value: isinstance(value, str) and value == first
    *middle, last = others

    def test(value: Json) -> bool:
        """Each piece between wildcards at its first place after the one before: if any places fit, these do."""
        if not isinstance(value, str) or not value.startswith(first):
            return False
        at = len(first)
        for piece in middle:
            found = value.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(value) - at >= len(last) and value.endswith(last)

    return test


def _pieces(text: str, place: Place) -> list[str]:
    """What stands between the wildcards; ``\\*`` and ``\\\\`` are the characters themselves."""
    pieces = [""]
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
            if text[position : position + 1] not in ("*", "\\"):
                raise PatternError(place, "a backslash stands before `*` or another backslash only")
            pieces[-1] += text[position]
        elif character == "*":
            if text[position + 1 : position + 2] == "*":
                raise PatternError(place, "wildcards may not follow each other; one `*` matches anything")
            pieces.append("")
        else:
            pieces[-1] += character
        position += 1
    return pieces


def _cidr(operand: Json, place: Place) -> Test:
    text = _text(operand, place)
    try:
        if "/" not in text:
            raise ValueError
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise PatternError(place, f"`{text}` is not a range of IP addresses like `10.0.0.0/24`") from None

    def test(value: Json) -> bool:
        address = _address(value) if isinstance(value, str) else None
        return address is not None and address.version == network.version and address in network

    return test


def _numeric(operand: Json, place: Place) -> Test:
    """``[comparison, number]``, or a lower bound and then an upper one."""
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise PatternError(place, 'takes a comparison and a number, or two of them, as in `[">", 0, "<=", 5]`')
    comparisons, numbers = operand[::2], operand[1::2]
    for number in numbers:
        if not _is_number(number):
            raise PatternError(place, f"compares with a number, not {kind_of(number)}")
    for comparison in comparisons:
        if comparison not in COMPARISONS:
            raise PatternError(place, f"a comparison is one of {', '.join(COMPARISONS)}")
    if len(comparisons) == 2:
        if comparisons[0] not in (">", ">=") or comparisons[1] not in ("<", "<="):
            raise PatternError(place, "a range has first its lower bound (`>`, `>=`), then its upper one (`<`, `<=`)")
        if numbers[0] >= numbers[1]:
            raise PatternError(place, "the range's lower bound is not below its upper one")
    bounds = [(_COMPARE[comparison], number) for comparison, number in zip(comparisons, numbers, strict=True)]
    return lambda value: _is_number(value) and all(compare(value, number) for compare, number in bounds)


def _anything_but(operand: Json, place: Place) -> Test:
    if isinstance(operand, dict):
        return _anything_but_operator(operand, place)
    unwanted = operand if isinstance(operand, list) else [operand]
    strings = all(isinstance(item, str) for item in unwanted)
    if not unwanted or not (strings or all(_is_number(item) for item in unwanted)):
        raise PatternError(place, "takes a string or a number, or a list of only strings or only numbers")
    if strings:
        return lambda value: not (isinstance(value, str) and value in unwanted)
    return lambda value: not (_is_number(value) and value in unwanted)


def _anything_but_operator(operand: dict[str, Json], place: Place) -> Test:
    takes = ("prefix", "suffix", "equals-ignore-case", "wildcard")
    name = next(iter(operand), "")
    if len(operand) != 1 or name not in takes:
        raise PatternError(place, f"takes values, or an object with one key, one of {', '.join(takes)}")
    here = (*place, name)
    given = operand[name]
    if given == [] or (name in ("prefix", "suffix") and "" in (given if isinstance(given, list) else [given])):
        raise PatternError(here, "is empty, so nothing would match")
    entries = [((*here, i), item) for i, item in enumerate(given)] if isinstance(given, list) else [(here, given)]
    tests = [_OPERATOR_TESTS[name](_text(item, at), at) for at, item in entries]
    return lambda value: not any(test(value) for test in tests)


_OPERATOR_TESTS: dict[str, Callable[[Json, Place], Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _ignore_case,
    "exactly": _exactly,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
# Python compares integers and floats exactly, also beyond 2**53.
_COMPARE: dict[str, Callable[[Json, Json], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _text(operand: Json, place: Place) -> str:
    if not isinstance(operand, str):
        raise PatternError(place, f"takes a string, not {kind_of(operand)}")
    return operand


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same_letters(one: str, other: str) -> bool:
    return one.lower() == other.lower() or one.upper() == other.upper()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
