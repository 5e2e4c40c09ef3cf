"""Which known word an author may have meant by an unknown one, as a hint for people."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Set
from itertools import islice

from workflow_runtime.language.look_alikes import look_alike_hint, plain

WORDS_SHOWN = 12
"""A hint lists at most this many known words; more would hide the one that helps."""

WORD_CHARS_COMPARED = 128
"""As long as an id may be: what follows cannot be a slip of one."""

_SEPARATORS = re.compile(r"[-_\s]")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word of ``known`` that ``word`` most likely is a slip of, if any is near enough.

    Case, hyphens, underscores and spaces do not count, nor how Unicode composes a character.
    """
    folded = {_folded(name): name for name in known}
    sought = _folded(word[:WORD_CHARS_COMPARED])
    if sought in folded:
        return folded[sought]
    cutoff = 0.6 if sought.isascii() and len(sought) > 2 else 0.5  # of two characters, one may be wrong: 查寻, 查询
    return next((folded[match] for match in difflib.get_close_matches(sought, folded, n=1, cutoff=cutoff)), None)


def _folded(word: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", plain(word)).casefold())


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The hint for a ``word`` that is not among ``known``: the nearest one, or the known words when they are few."""
    names = sorted(known) if isinstance(known, Set) else list(known)  # sets have another order in each process
    near = nearest(word, names)
    if near is not None:
        return " ".join(
            filter(None, (f"Did you mean `{near}`?", look_alike_hint(word, near) or look_alike_hint(near, word)))
        )
    if look_alike_hint(word) is not None:
        return look_alike_hint(word)
    if 0 < len(names) <= WORDS_SHOWN:
        return "Known here: " + ", ".join(f"`{name}`" for name in islice(names, WORDS_SHOWN)) + "."
    return None


def with_hint(text: str, word: str, known: Iterable[str]) -> str:
    """A message about a ``word`` that is not among ``known``, followed by the hint, if there is one."""
    hint = did_you_mean(word, known)
    return f"{text}. {hint}" if hint else text
