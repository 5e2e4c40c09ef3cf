"""Secrets in what is recorded, logged or shown: replaced by ``***``.

What is secret is known by what it came from, not by a search: the secrets that an attempt read, and every value that a
formula made of them (parsed, cut, encoded). A `Mask` then finds these values in what an agent or a tool gave back, also
as other systems write them: percent-encoded, escaped as in JSON, in base64 or hexadecimal, in upper or lower case.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TypeAlias
from urllib.parse import urlsplit

from workflow_runtime.invokers.searching import ESCAPE_BYTES_MAX, Finder, Span, TooManyPlaces, without
from workflow_runtime.language.json_values import Json, read_json

MASK = "***"
VALUES_MAX = 1000  # of what is secret in one attempt: each is looked for in every text
PART_CHARACTERS_MIN = 4  # of what a formula made of a secret, to be found inside a text; shorter ones stand alone
PIECE_CHARACTERS_MIN = 12  # of a secret between characters that JSON escapes: shorter ones may be anything
PIECES_MAX = 200  # of such a secret: more than the lines of the longest keys
CUT_CHARACTERS_MIN = 16  # of a secret that was cut off, in texts for people
SECRET_NUMBER_MIN = 1000  # smaller numbers are lengths and counts
TEXT_CHARACTERS_MAX = 64 * 1024  # of a text for people in which secrets are looked for
ENCODED_CHARACTERS_MIN = 8  # of base64: what is shorter may be anything

Derived: TypeAlias = tuple[str, Json]
"""The source of an expression that read secrets, and its value."""

_APART = b"\0"  # between texts that are searched at once
_ESCAPED_IN_JSON = re.compile(r'["\\\x00-\x1f]+')


class Mask:
    """Hides ``secrets``, and what was ``derived`` from them except what the formulas themselves say.

    ``overflows``: these are more values than can be looked for. It hides every text of a value then; its attempt is
    not made, so that messages have nothing to hide.
    """

    __slots__ = ("_alone", "_finder", "_numbers", "_secrets", "overflows")

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
        self._finder = Finder(self._secrets, {form for text in self._secrets for form in _encodings(text)})

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
        return bool(self._finder or self._alone or self.overflows)

    @property
    def reach(self) -> int:
        """How many characters something hidden takes at the most."""
        return ESCAPE_BYTES_MAX * max(map(len, self._secrets), default=0)

    def value(self, value: Json) -> Json:
        """``value`` without secrets in its texts, keys included, and numbers."""
        if not self:
            return value
        changed = {} if self.overflows else self._changed(list(_texts_and_names(value)))
        return self._masked(value, changed) if changed or self._numbers or self.overflows else value

    def _masked(self, value: Json, changed: Mapping[str, str]) -> Json:
        if isinstance(value, str):
            return MASK if self.overflows else changed.get(value, value)
        if isinstance(value, list):
            return [self._masked(element, changed) for element in value]
        if isinstance(value, dict):
            return {self._masked(name, changed): self._masked(element, changed) for name, element in value.items()}
        if type(value) in (int, float) and value in self._numbers:
            return MASK
        return value

    def _changed(self, texts: list[str]) -> dict[str, str]:
        """What becomes of those in which there is a secret. All are searched at once: most values are many small
        texts without any."""
        alone = {text: MASK for text in texts if text in self._alone} if self._alone else {}
        if len(texts) == 1:
            return {texts[0]: self._hidden(texts[0])} | alone
        parts = [text.encode("utf-8", "replace") for text in texts]
        try:
            spans = self._finder.spans(_APART.join(parts))
        except TooManyPlaces:
            return {text: self._hidden(text) for text in texts} | alone
        held: dict[int, list[Span]] = {}
        ends = list(accumulate(len(part) + len(_APART) for part in parts)) if spans else []
        for begin, end in spans:
            place = bisect_right(ends, begin)
            first = ends[place] - len(_APART) - len(parts[place])
            if end - first > len(parts[place]):  # a secret with what stands between texts in it
                return {text: self._hidden(text) for text in texts} | alone
            held.setdefault(place, []).append((begin - first, end - first))
        return {texts[place]: _masked(parts[place], spans) for place, spans in held.items()} | alone

    def text(self, text: str) -> str:
        """A text for people, which may also hold a secret that was cut off; what is too long for people is cut off
        here, with what may be the beginning of a secret."""
        if not self or self.overflows:
            return text
        kept = text[:TEXT_CHARACTERS_MAX]
        hidden = self._hidden(kept, cut=True)
        return hidden if len(kept) == len(text) else hidden[:-CUT_CHARACTERS_MIN]

    def _hidden(self, text: str, *, cut: bool = False) -> str:
        """``cut``: hide beginnings of secrets, too."""
        data = text.encode("utf-8", "replace")
        try:
            spans = self._finder.spans(data)
        except TooManyPlaces:
            return MASK
        if cut:
            spans += self._cut_spans(data)
        return _masked(data, spans) if spans else text

    def _cut_spans(self, data: bytes) -> Iterator[Span]:
        """Where at least `CUT_CHARACTERS_MIN` of a secret's beginning stand."""
        for secret in self._secrets:
            beginning, whole = (part.encode("utf-8", "replace") for part in (secret[:CUT_CHARACTERS_MIN], secret))
            start = data.find(beginning) if len(secret) > CUT_CHARACTERS_MIN else -1
            while start >= 0:
                end = start + len(beginning)
                while data[end : end + 1] == whole[end - start : end - start + 1] != b"":
                    end += 1
                yield start, end
                start = data.find(beginning, end)


NOTHING_SECRET = Mask()


def _masked(data: bytes, spans: list[Span]) -> str:
    return without(data, spans, MASK.encode()).decode()


def _texts_and_names(value: Json) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            yield item


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
