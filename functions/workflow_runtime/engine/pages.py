"""Long tables as they are stored: in pages, each a JSON object of some entries, in their order.

An execution may have thousands of scopes at work and of things that it waits for, and an event concerns two or three of
them. So a page is opened only when something in it is asked for, which its text tells; the others stay the bytes that
they were, and are stored again as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import msgspec
from msgspec import Raw

Entries = dict[str, Any]
"""Of a page: as they were stored, or as they are now."""

LONG_ENTRIES = 256
"""Entries of a table that is stored in pages: a shorter one is sooner read whole."""

PAGES_MIN = 2
"""A table that has come down to so few pages is stored whole again."""

_PAGE = 64  # entries of one, at most
_SMALL = 16  # of one that has lost some: with fewer it is joined with another
_SEARCHES_MAX = 16  # of pages for keys: a table of which more is asked is read whole

_page_decoder = msgspec.json.Decoder(dict[str, Raw])


class Pages(Mapping[str, Any]):
    """The entries of a table as it was stored. It never changes."""

    __slots__ = ("_opened", "_pages", "_places", "_searches", "_texts")

    def __init__(self, pages: list[Raw]) -> None:
        self._pages = pages
        self._texts: dict[int, bytes] = {}
        self._opened: dict[int, Entries] = {}
        self._places: dict[str, int] = {}
        self._searches = 0

    def __getitem__(self, key: str) -> Any:
        place = self._place(key)
        if place < 0:
            raise KeyError(key)
        return self._opened[place][key]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._place(key) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole())

    def __len__(self) -> int:
        return len(self.whole())

    @property
    def count(self) -> int:
        """How many pages; each has at least an entry."""
        return len(self._pages)

    def whole(self) -> Entries:
        """All entries, to change."""
        found: Entries = {}
        for number in range(len(self._pages)):
            found.update(self._open(number))
        return found

    def __or__(self, changed: Entries) -> Entries:
        """As of dicts: all entries, with these in the place of theirs."""
        return self.whole() | changed

    def stored_with(self, changed: Mapping[str, Any], gone: Collection[str], added: Entries) -> list[Any]:
        """The pages of the table that has these changes."""
        pages: list[Any] = [*self._pages]
        for key in (*changed, *gone):
            number = self._place(key)
            if pages[number] is self._pages[number]:
                pages[number] = self._open(number).copy()
            if key in changed:
                pages[number][key] = changed[key]
            else:
                del pages[number][key]
        if gone:
            pages = _joined(pages)
        if added and pages and len(entries := _entries(pages[-1])) + len(added) <= _PAGE:
            pages[-1] = entries | added
        else:
            pages += paged(added)
        return pages

    def _place(self, key: str) -> int:
        """The number of the page that has the key, which is open then; -1: none has."""
        place = self._places.get(key, -1)
        if place >= 0:
            return place
        if self._searches == _SEARCHES_MAX:
            if len(self._opened) < len(self._pages):
                self.whole()
            return self._places.get(key, -1)
        self._searches += 1
        try:
            needle: bytes = msgspec.json.encode(key)
        except UnicodeEncodeError:  # half a character, which nothing that was stored has in it
            return -1
        # The graph at the top is in the first page, what began lately in the last ones.
        for number in chain((0,), range(self.count - 1, 0, -1)):
            if number not in self._opened and self._may_have(number, needle) and key in self._open(number):
                return number
        return -1

    def _may_have(self, number: int, needle: bytes) -> bool:
        """Whether the text of a page has this in it, be it as a key or elsewhere."""
        text = self._texts.get(number)
        if text is None:
            text = self._texts[number] = bytes(self._pages[number])
            if b"\\" in text and (b"\\u" in text or b"\\/" in text):  # what somebody may write otherwise than we do
                self._open(number)
        return number in self._opened or text.rfind(needle) >= 0  # which takes a third of the time that `in` takes

    def _open(self, number: int) -> Entries:
        entries = self._opened.get(number)
        if entries is None:
            entries = self._opened[number] = _page_decoder.decode(self._pages[number])
            self._places.update(dict.fromkeys(entries, number))
        return entries


def _joined(pages: list[Any]) -> list[Any]:
    """Without those that have no entries any more; one that has few is joined with the one before or after it."""
    found: list[Any] = []
    for page in pages:
        if isinstance(page, dict) and not page:
            continue
        if found and (_is_small(page) or _is_small(found[-1])):
            before, entries = _entries(found[-1]), _entries(page)
            if len(before) + len(entries) <= _PAGE:
                found[-1] = before | entries
                continue
        found.append(page)
    return found


def _is_small(page: Any) -> bool:
    return isinstance(page, dict) and len(page) < _SMALL


def _entries(page: Raw | Entries) -> Entries:
    return page if isinstance(page, dict) else _page_decoder.decode(page)


def paged(entries: Entries) -> list[Entries]:
    """The pages of a table that was not stored yet."""
    items = iter(entries.items())
    pages = []
    while page := dict(islice(items, _PAGE)):
        pages.append(page)
    return pages
