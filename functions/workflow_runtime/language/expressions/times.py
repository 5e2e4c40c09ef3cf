"""Times as the language sees them: ISO-8601 texts in UTC with milliseconds outside, epoch milliseconds inside.

``2026-01-31T09:30:00.000Z`` is the one form that is made, so times compare and sort as texts. Patterns are
strftime's, English, without the platform's extras, so that every machine gives the same text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.values import kind
from workflow_runtime.language.json_values import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
MS_MIN = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
MS_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
EPOCH_MS_MIN = 10**11
"""Smallest number that is taken for a time, in March 1973: below it lie the epoch seconds of several thousand years."""
_CHARACTERS_MAX = 100  # no time is longer; keeps fromisoformat and the patterns short
SECONDS_FOR_MS = (
    "a number below 10^11 where a time is expected; a time is epoch milliseconds (seconds * 1000) or an ISO 8601 text"
)
_ISO = re.compile(r"[0-9]{4}-?[0-9W][0-9-]*(?:[T ][0-9:.,]+(?:Z|z|[+-][0-9:]+)?)?\Z")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def format_iso(ms: int) -> str:
    """The text of a time. Raises `EvaluationError` outside the years 1 to 9999."""
    return datetime_of(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> int:
    """Epoch milliseconds of an ISO-8601 date or time; without an offset it is UTC. Raises `EvaluationError`."""
    source = text.strip() if len(text) <= _CHARACTERS_MAX else ""
    try:
        if not _ISO.match(source):
            raise ValueError
        return _ms(datetime.fromisoformat(source.upper()))
    except (ValueError, OverflowError):
        raise EvaluationError("not an ISO 8601 time", quote=repr(text[:40])) from None


def datetime_of(ms: int) -> datetime:
    if not MS_MIN <= ms <= MS_MAX:
        raise EvaluationError("a time outside the years 1 to 9999")
    return _EPOCH + timedelta(milliseconds=ms)


def time_ms(value: Json) -> int:
    """Epoch milliseconds of a value: an ISO-8601 text, or a number that already is that and cannot be seconds.

    Raises `EvaluationError`.
    """
    if type(value) is str:
        return parse_iso(value)
    if type(value) is int or type(value) is float:
        if value < EPOCH_MS_MIN:
            raise EvaluationError(SECONDS_FOR_MS)
        if not value <= MS_MAX:
            raise EvaluationError("a time outside the years 1 to 9999")
        return int(value)
    raise EvaluationError(f"{kind(value)} where a time is expected")


def _ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // _MILLISECOND


# -- patterns

_FORMATS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda moment: f"{moment.year:04}",
    "y": lambda moment: f"{moment.year % 100:02}",
    "m": lambda moment: f"{moment.month:02}",
    "d": lambda moment: f"{moment.day:02}",
    "H": lambda moment: f"{moment.hour:02}",
    "I": lambda moment: f"{(moment.hour - 1) % 12 + 1:02}",
    "M": lambda moment: f"{moment.minute:02}",
    "S": lambda moment: f"{moment.second:02}",
    "L": lambda moment: f"{moment.microsecond // 1000:03}",
    "f": lambda moment: f"{moment.microsecond:06}",
    "p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "B": lambda moment: _MONTHS[moment.month - 1],
    "b": lambda moment: _MONTHS[moment.month - 1][:3],
    "A": lambda moment: _DAYS[moment.weekday()],
    "a": lambda moment: _DAYS[moment.weekday()][:3],
    "u": lambda moment: str(moment.isoweekday()),
    "V": lambda moment: f"{moment.isocalendar().week:02}",
    "G": lambda moment: f"{moment.isocalendar().year:04}",
    "s": lambda moment: str(_ms(moment) // 1000),
    "z": lambda _: "+0000",
    "Z": lambda _: "UTC",
    "%": lambda _: "%",
}
_COMPOSED = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)


def format_pattern(ms: int, pattern: str) -> str:
    """The time in a strftime pattern. Raises `EvaluationError` for a directive that does not exist."""
    moment = datetime_of(ms)

    def replace(match: re.Match[str]) -> str:
        render = _FORMATS.get(match[1])
        if render is None:
            known = f"unknown directive in a time pattern; there are %{' %'.join(_FORMATS)} %F %T %R"
            raise EvaluationError(known, quote=f"%{match[1]}")
        return render(moment)

    return _DIRECTIVE.sub(replace, _expand(pattern))


_PARSERS = {
    "Y": r"(?P<Y>[0-9]{4})",
    "y": r"(?P<y>[0-9]{2})",
    "m": r"(?P<m>[0-9]{1,2})",
    "d": r"(?P<d>[0-9]{1,2})",
    "H": r"(?P<H>[0-9]{1,2})",
    "I": r"(?P<I>[0-9]{1,2})",
    "M": r"(?P<M>[0-9]{1,2})",
    "S": r"(?P<S>[0-9]{1,2})",
    "L": r"(?P<L>[0-9]{3})",
    "f": r"(?P<f>[0-9]{1,6})",
    "p": r"(?P<p>AM|PM)",
    "B": f"(?P<B>{'|'.join(_MONTHS)})",
    "b": f"(?P<b>{'|'.join(name[:3] for name in _MONTHS)})",
    "A": f"(?:{'|'.join(_DAYS)})",
    "a": f"(?:{'|'.join(name[:3] for name in _DAYS)})",
    "s": r"(?P<s>-?[0-9]{1,12})",
    "z": r"(?P<z>Z|[+-][0-9]{2}:?[0-9]{2})",
    "Z": r"(?:UTC|GMT|Z)",
    "%": "%",
}


def parse_pattern(text: str, pattern: str) -> int:
    """Epoch milliseconds of ``text`` read by a strftime pattern; what the pattern leaves out is the start of 1970, UTC.

    Raises `EvaluationError`.
    """
    parts: list[str] = []
    seen: set[str] = set()
    position = 0
    expanded = _expand(pattern)
    for match in _DIRECTIVE.finditer(expanded):
        directive = match[1]
        if directive not in _PARSERS or (directive in seen and directive != "%"):
            what = (
                "is there twice" if directive in seen else f"cannot be read; there are %{' %'.join(_PARSERS)} %F %T %R"
            )
            raise EvaluationError(f"a directive of a time pattern {what}", quote=f"%{directive}")
        seen.add(directive)
        parts += (re.escape(expanded[position : match.start()]), _PARSERS[directive])
        position = match.end()
    parts.append(re.escape(expanded[position:]))
    # bounded texts, bounded repeats, one group per directive: at most a few thousand backtracks
    found = re.fullmatch("".join(parts), text.strip(), re.IGNORECASE) if len(text) <= _CHARACTERS_MAX else None
    if found is None:
        raise EvaluationError("the text does not fit the time pattern", quote=f"{text[:40]!r}, {pattern!r}")
    try:
        return _assemble({key: value for key, value in found.groupdict().items() if value is not None})
    except (ValueError, OverflowError) as error:
        raise EvaluationError("not a time", quote=f"{text[:40]!r}: {error}") from None


def _assemble(fields: dict[str, str]) -> int:
    if "s" in fields:
        return int(fields["s"]) * 1000
    month = int(fields.get("m", "1"))
    for key, names in (("B", _MONTHS), ("b", [name[:3] for name in _MONTHS])):
        if key in fields:
            month = names.index(fields[key].capitalize()) + 1
    year = int(fields.get("Y", "1970"))
    if "y" in fields:  # POSIX: 69-99 are 1969-1999
        year = int(fields["y"]) + (2000 if int(fields["y"]) < 69 else 1900)
    hour = int(fields.get("H", "0"))
    if "I" in fields:
        if not 1 <= int(fields["I"]) <= 12:
            raise ValueError("hour must be in 1..12")
        hour = int(fields["I"]) % 12 + (12 if fields.get("p", "AM").upper() == "PM" else 0)
    fraction = int(fields["L"]) * 1000 if "L" in fields else int(fields.get("f", "0").ljust(6, "0"))
    day, minute, second = int(fields.get("d", "1")), int(fields.get("M", "0")), int(fields.get("S", "0"))
    return _ms(datetime(year, month, day, hour, minute, second, fraction, _offset(fields.get("z", "Z"))))


def _offset(text: str) -> timezone:
    if text in ("Z", "z"):
        return UTC
    digits = text[1:].replace(":", "")
    return timezone(timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (-1 if text[0] == "-" else 1))


def _expand(pattern: str) -> str:
    if len(pattern) > _CHARACTERS_MAX:
        raise EvaluationError(f"a time pattern longer than {_CHARACTERS_MAX} characters")
    return _DIRECTIVE.sub(lambda match: _COMPOSED.get(match[1], match[0]), pattern)
