"""Characters that are easily taken for others: full-width signs, typographic quotes, odd spaces, Cyrillic letters.

Nothing here forbids a character; a text in any script is normal input. It names the one that makes a text mean
something else than it seems to, with its code point, since a reader cannot see the difference.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

_SPACES = dict.fromkeys(("\u00a0", "\u1680", *map(chr, range(0x2000, 0x200B)), "\u202f", "\u205f", "\u3000"), " ")
_PUNCTUATION = {
    **dict.fromkeys("“”„‟″〝〞", '"'),
    **dict.fromkeys("‘’‚‛′｀´", "'"),
    **dict.fromkeys("\u2010\u2011\u2012–—―−﹣", "-"),
    **dict.fromkeys("：﹕∶", ":"),
    **dict.fromkeys("，、﹐‚", ","),
    **dict.fromkeys("。．․", "."),
    **dict.fromkeys("【〔〖［", "["),
    **dict.fromkeys("】〕〗］", "]"),
    **dict.fromkeys("∗＊", "*"),
    **dict.fromkeys("∕⁄", "/"),
}  # fmt: skip
_FULL_WIDTH = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
_LETTERS = dict(
    zip("аеорсухіѕјԁАВЕКМНОРСТХІЅЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "aeopcyxisjdABEKMHOPCTXISJABEZHIKMNOPTYXo", strict=True)
)
"""Of Cyrillic and Greek, those that look like Latin ones; they deceive only among Latin letters."""
_LOOKS_LIKE = {**_LETTERS, **_FULL_WIDTH, **_PUNCTUATION, **_SPACES}
_TO_ASCII = str.maketrans(_LOOKS_LIKE)
_SIGN = re.compile("[" + re.escape("".join({**_FULL_WIDTH, **_PUNCTUATION, **_SPACES})) + "]")
_LETTER = re.compile("[" + "".join(_LETTERS) + "]")
_LATIN = re.compile("[A-Za-z]")

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0001-\U000e007f\U000e0100-\U000e01ef]"
)
"""Characters that show nothing: two texts that differ in them look the same. (Unicode: default ignorable.)"""


def named(character: str) -> str:
    """How a message calls a character that cannot be recognised by its looks: ``，`` (U+FF0C)."""
    code = f"U+{ord(character):04X}"
    if character.isprintable() and not INVISIBLE.match(character) and character not in _SPACES:
        return f"`{character}` ({code})"
    return f"{code} ({unicodedata.name(character, 'unnamed').lower()})"


def look_alike(character: str) -> str | None:
    """The ASCII character that this one is easily taken for."""
    return _LOOKS_LIKE.get(character)


def deceptive(text: str, beside: str = "") -> re.Match[str] | None:
    """The first character of ``text`` that is invisible or easily taken for another, by what stands around it or in the
    text ``beside`` it."""
    if text.isascii():
        return None
    found = INVISIBLE.search(text) or _SIGN.search(text)
    return found or (_LETTER.search(text) if _LATIN.search(text + beside) else None)


def look_alike_hint(text: str, beside: str = "") -> str | None:
    """A sentence that names the first `deceptive` character of ``text``; None when there is none."""
    found = deceptive(text, beside)
    if found is None:
        return None
    meant = look_alike(found[0])
    place = f"Character {found.start() + 1} is {named(found[0])}"
    if meant is None:
        return f"{place}, which shows nothing: remove it."
    return f"{place}, not {'a plain space' if meant == ' ' else f'`{meant}`'}."


def plain(text: str) -> str:
    """``text`` with look-alikes replaced by what they look like, for comparing."""
    return text if text.isascii() else INVISIBLE.sub("", text).translate(_TO_ASCII)


def normalized(text: str) -> str:
    """``text`` in Unicode's form NFC: names that look the same are then the same."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def with_normalized_keys(values: Mapping[str, Value]) -> Mapping[str, Value]:
    """The mapping with its own keys `normalized`; of those that then are the same, the last one counts."""
    if all(key.isascii() or unicodedata.is_normalized("NFC", key) for key in values):
        return values
    return {normalized(key): value for key, value in values.items()}
