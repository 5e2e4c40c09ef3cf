"""Secrets in what is recorded, logged or shown: replaced by ``***``.

What is secret is known by what it came from, not by a search: the secrets that an attempt read, and every value that a
formula made of them (parsed, cut, encoded). A `Mask` then finds these values in what an agent or a tool gave back, also
as other systems write them: percent-encoded, escaped as in JSON, in base64 or hexadecimal, in upper or lower case.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from workflow_runtime.language.json_values import Json, read_json

MASK = "***"
VALUES_MAX = 1000  # of what is secret in one attempt: each is looked for in every text
PART_CHARACTERS_MIN = 4  # of what a formula made of a secret, to be found inside a text; shorter ones stand alone
PIECE_CHARACTERS_MIN = 12  # of a secret between characters that JSON escapes: shorter ones may be anything
PIECES_MAX = 200  # of such a secret: more than the lines of the longest keys
CUT_CHARACTERS_MIN = 16  # of a secret that was cut off, in texts for people
SECRET_NUMBER_MIN = 1000  # smaller numbers are lengths and counts
TEXT_CHARACTERS_MAX = 64 * 1024  # of a text for people in which secrets are looked for
WINDOW_CHARACTERS = 64 * 1024  # of a text that is decoded at once
ENCODED_CHARACTERS_MAX = 12  # of one character: four bytes in UTF-8, or two halves as \uXXXX
SIEVE_CHARACTERS_MAX = 20_000  # of all that is looked for at once: such a pattern is compiled in milliseconds
ENCODED_CHARACTERS_MIN = 8  # of base64: what is shorter may be anything

Span: TypeAlias = tuple[int, int]
Piece: TypeAlias = tuple[str, int]
"""A decoded character, and how many characters of the text it takes."""
Derived: TypeAlias = tuple[str, Json]
"""The source of an expression that read secrets, and its value."""

_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPED = re.compile(r'\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|["\'\\/bfnrt])')
_ESCAPED_IN_JSON = re.compile(r'["\\\x00-\x1f]+')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Mask:
    """Hides ``secrets``, and what was ``derived`` from them except what the formulas themselves say.

    ``overflows``: these are more values than can be looked for. It hides every text of a value then; its attempt is
    not made, so that messages have nothing to hide.
    """

    __slots__ = ("_alone", "_encoded", "_numbers", "_secrets", "_sieve", "_texts", "overflows")

    def __init__(self, secrets: Iterable[str] = (), derived: Iterable[Derived] = ()) -> None:
        self._alone: set[str] = set()
        self._numbers: set[int | float] = set()
        texts = {secret for secret in secrets if secret}
        for secret in tuple(texts):
            self._derive(_parts(secret), "", texts)
        for source, value in derived:
            self._derive(value, source, texts)
        self.overflows = len(texts) + len(self._alone) > VALUES_MAX
        self._secrets = [] if self.overflows else list(texts)
        self._texts = {form for text in self._secrets for form in (text, text.lower(), text.upper().lower())}
        self._encoded = {form for text in self._secrets for form in _encodings(text)}
        self._sieve = _sieve(self._texts | self._encoded)

    def _derive(self, value: Json, source: str, texts: set[str]) -> None:
        for leaf in _leaves(value):
            if isinstance(leaf, str):
                if not leaf or f"'{leaf}'" in source or f'"{leaf}"' in source:
                    continue
                (texts if len(leaf) >= PART_CHARACTERS_MIN else self._alone).add(leaf)
            elif abs(leaf) >= SECRET_NUMBER_MIN and str(leaf) not in source:
                self._numbers.add(leaf)
                texts.add(str(leaf))

    def __bool__(self) -> bool:
        return bool(self._texts or self._alone or self.overflows)

    @property
    def reach(self) -> int:
        """How many characters something hidden takes at the most."""
        return ENCODED_CHARACTERS_MAX * max(map(len, self._secrets), default=0)

    def value(self, value: Json) -> Json:
        """``value`` without secrets in its texts, keys included, and numbers."""
        if not self:
            return value
        if isinstance(value, str):
            return MASK if self.overflows or value in self._alone else self._without(value, self._spans(value))
        if isinstance(value, list):
            return [self.value(element) for element in value]
        if isinstance(value, dict):
            return {self.value(name): self.value(element) for name, element in value.items()}
        if type(value) in (int, float) and value in self._numbers:
            return MASK
        return value

    def text(self, text: str) -> str:
        """A text for people, which may also hold a secret that was cut off; what is too long for people is cut off
        here, with what may be the beginning of a secret."""
        if not self or self.overflows:
            return text
        kept = text[:TEXT_CHARACTERS_MAX]
        hidden = self._without(kept, [*self._spans(kept), *self._cut_spans(kept)])
        return hidden if len(kept) == len(text) else hidden[:-CUT_CHARACTERS_MIN]

    def _spans(self, text: str) -> list[Span]:
        spans: list[Span] = []
        if self._may_hold_any(text):
            spans += [span for form in self._encoded for span in _found(form, text)]
            spans += self._spans_plain(text)
        for pattern, decode in ((_ENCODED, _percent_decoded), (_ESCAPED, _unescaped)):
            if pattern.search(text):
                for at, window in self._windows(text):
                    if not self._may_hold_any(pattern.sub(partial(_joined, decode), window)):
                        continue
                    plain, places = _decoded(window, pattern, decode)
                    spans += [(at + places[start], at + places[end]) for start, end in self._spans_plain(plain)]
        return spans

    def _may_hold_any(self, text: str) -> bool:
        """False if certainly no secret stands in the text, which one look at each character tells."""
        return self._sieve is None or self._sieve.search(text.encode("utf-8", "replace")) is not None

    def _windows(self, text: str) -> Iterator[tuple[int, str]]:
        """Parts of a text, with their places, so that decoding a large text takes little memory. They overlap by as
        much as the longest secret takes when all of it is encoded."""
        for at in range(0, len(text), WINDOW_CHARACTERS):
            yield at, text[at : at + WINDOW_CHARACTERS + self.reach]

    def _spans_plain(self, text: str) -> Iterator[Span]:
        """Where secrets stand, in any case, and with ``+`` for a space, as in forms."""
        lower = text.lower()
        if len(lower) != len(text):  # the places would be others
            lower = text
        for form in (lower, lower.replace("+", " ")) if "+" in lower else (lower,):
            for secret in self._texts:
                yield from _found(secret, form)

    def _cut_spans(self, text: str) -> Iterator[Span]:
        """Where at least `CUT_CHARACTERS_MIN` of a secret's beginning stand."""
        for secret in self._secrets:
            start = text.find(secret[:CUT_CHARACTERS_MIN]) if len(secret) > CUT_CHARACTERS_MIN else -1
            while start >= 0:
                end = start
                while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
                    end += 1
                yield start, end
                start = text.find(secret[:CUT_CHARACTERS_MIN], end)

    def _without(self, text: str, spans: list[Span]) -> str:
        """Spans may overlap, as two secrets may; what any of them covers is hidden."""
        parts: list[str] = []
        shown = 0
        for start, end in sorted(spans):
            if start >= shown and (start > shown or not parts):
                parts += (text[shown:start], MASK)
            shown = max(shown, end)
        return "".join((*parts, text[shown:])) if parts else text


def _sieve(forms: Collection[str]) -> Any:
    """Finds any of these texts in any case, and with ``+`` for a space; None if it cannot tell for sure, for other
    characters than ASCII have more than two cases, or if there are too many."""
    if not forms or not all(map(str.isascii, forms)) or sum(map(len, forms)) > SIEVE_CHARACTERS_MAX:
        return None
    import re2

    either = "|".join(re2.escape(form).replace(r"\ ", "[ +]") for form in sorted(forms))
    return re2.compile(f"(?i){either}".encode())


def _joined(decode: Callable[[str], list[Piece]], match: re.Match[str]) -> str:
    return "".join([piece for piece, _ in decode(match[0])])


NOTHING_SECRET = Mask()


def _found(form: str, text: str) -> Iterator[Span]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _leaves(value: Json) -> Iterator[str | int | float]:
    """The texts and numbers in a value; names are not secrets."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif type(item) in (str, int, float):
            yield item


def _parts(secret: str) -> Json:
    """What a secret has in it that is secret by itself: values of JSON, lines of a key, the password of a URL."""
    if secret.lstrip()[:1] in ("{", "["):
        try:
            return read_json(secret)
        except ValueError:
            return None
    pieces = [piece for piece in _ESCAPED_IN_JSON.split(secret)[:PIECES_MAX] if len(piece) >= PIECE_CHARACTERS_MIN]
    if pieces and pieces != [secret]:  # what is escaped twice, as JSON in JSON is, is not found as a whole
        return [piece for piece in pieces if not piece.startswith("-----")]
    try:
        return urlsplit(secret).password if "://" in secret else None
    except ValueError:
        return None


def _encodings(text: str) -> Iterator[str]:
    """``text`` in hexadecimal and base64, wherever it begins in what is encoded, as far as it decides the result."""
    data = text.encode("utf-8", "replace")
    if len(data) < PART_CHARACTERS_MIN:
        return
    yield data.hex()
    yield data.hex().upper()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode()
        first = (shift * 8 + 5) // 6
        sure = encoded[first : (shift + len(data)) * 8 // 6]
        if len(sure) >= ENCODED_CHARACTERS_MIN:
            yield sure
            yield sure.replace("+", "-").replace("/", "_")


def _decoded(text: str, pattern: re.Pattern[str], decode: Callable[[str], list[Piece]]) -> tuple[str, list[int]]:
    """The text with what ``pattern`` finds decoded, and where each of its characters stood; the end is one of them."""
    characters: list[str] = []
    places: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        characters += text[at : match.start()]
        places += range(at, match.start())
        at = match.start()
        for character, width in decode(match[0]):
            characters.append(character)
            places.append(at)
            at += width
    characters += text[at:]
    places += range(at, len(text) + 1)
    return "".join(characters), places


def _percent_decoded(run: str) -> list[Piece]:
    decoded = unquote_to_bytes(run).decode("utf-8", "surrogateescape")
    return [(character, 3 * len(character.encode("utf-8", "surrogateescape"))) for character in decoded]


def _unescaped(escape: str) -> list[Piece]:
    kind = escape[1]
    character = chr(int(escape[2:], 16)) if kind in "ux" else _ESCAPES.get(kind, kind)
    return [(character, len(escape))]


def texts_in(value: Json) -> frozenset[str]:
    return frozenset(leaf for leaf in _leaves(value) if isinstance(leaf, str))


def blended(value: Json, told: Json, known: frozenset[str] = frozenset()) -> Json:
    """``value`` as far as it may be told: where ``told``, which was made without secrets, has the same; texts that are
    ``known``, truth values and small numbers; and the shape around them."""
    if isinstance(value, dict):
        other = told if isinstance(told, dict) else {}
        return {name: blended(item, other.get(name), known) for name, item in value.items()}
    if isinstance(value, list):
        others = told if isinstance(told, list) and len(told) == len(value) else [None] * len(value)
        return [blended(item, other, known) for item, other in zip(value, others, strict=True)]
    if value is None or isinstance(value, bool) or (type(value) is type(told) and value == told):
        return value
    if isinstance(value, str):
        return told if isinstance(told, str) else value if value in known else MASK
    return value if abs(value) < SECRET_NUMBER_MIN else MASK
