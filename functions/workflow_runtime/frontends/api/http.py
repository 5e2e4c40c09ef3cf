"""What the API takes of HTTP: conditional requests, pages, and slices of what is too large for an answer.

- ETags of workflows and agents, and what If-Match and If-None-Match say about them (RFC 9110 §13).
- Paging cursors: a position in one list, opaque to clients. A cursor grants nothing: it holds a place in a list that
  its bearer may read anyway. The digest in it ties it to its list and catches accidents: a cursor that
  was cut, edited or taken from another list.
- Answers end at 6 MB (Lambda), values at 50 MB. A value that is too large is replaced by a note ``{"truncated": true,
  "href": …}``. The ``href`` reads the first slice of its JSON text; ``Content-Range`` tells how much there is, and the
  slices one after the other are the text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from workflow_runtime.frontends.api.answers import BODY_BYTES_MAX, JSON_TYPE, Answer
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
TAG_HEADER = {"ETag": "The version, for If-Match and If-None-Match."}

_TAG = re.compile(r'(W/)?("[^"]*")')


class Numbered(Protocol):
    """A version of a workflow or an agent. ``identity``: what tells it from others of its number."""

    @property
    def number(self) -> int: ...

    @property
    def identity(self) -> str: ...


def etag(version: Numbered) -> str:
    """Strong: number and identity tell every version of a workflow or an agent from every other."""
    return f'"{version.number}-{version.identity[:16]}"'


def expected(request: Request) -> Callable[[Numbered | None], bool]:
    """Whether the request may replace what is there, by its preconditions; without any it always may."""
    match_, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")

    def allows(latest: Numbered | None) -> bool:
        if match_ is not None and not _names(match_, latest, weak=False):
            return False
        return none_match is None or not _names(none_match, latest, weak=True)

    return allows


def is_current(request: Request, version: Numbered) -> bool:
    """Whether the caller of a GET has this version already."""
    header = request.headers.get("if-none-match")
    return header is not None and _names(header, version, weak=True)


def _names(header: str, version: Numbered | None, *, weak: bool) -> bool:
    """Whether the list of tags holds the version's; ``weak``: weak tags count, too."""
    if version is None:
        return False
    if header.strip() == "*":
        return True
    return any(tag == etag(version) and (weak or not mark) for mark, tag in _TAG.findall(header))


DIGEST_BYTES = 6
CURSOR_CHARS_MAX = 300


def encode_cursor(of: Sequence[str], position: str) -> str:
    """``of``: what names the list: the route and its filters."""
    return base64.urlsafe_b64encode(_digest(of, position) + position.encode()).decode().rstrip("=")


def decode_cursor(of: Sequence[str], cursor: str | None) -> str | None:
    """The position in a cursor; None without one. Raises `Problem`."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, position = data[:DIGEST_BYTES], data[DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        digest, position = b"", ""
    if digest != _digest(of, position):
        raise Problem(
            "not_found", "there is no such page: not a cursor of this list; take `next_cursor` as it was given"
        )
    return position


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": next_cursor}


def _digest(of: Sequence[str], position: str) -> bytes:
    return hashlib.sha256("\0".join((*of, position)).encode()).digest()[:DIGEST_BYTES]


SLICE_BYTES_MAX = 4 * 1024 * 1024
RANGE_PATTERN = r"^[0-9]{1,12}-[0-9]{0,12}$"
_RANGE = re.compile(r"([0-9]+)-([0-9]*)")


class Place(NamedTuple):
    """A value in a document that may give way: ``holder[key]``; ``href``: where it can be read instead."""

    holder: dict[str, Any]
    key: str
    href: str


def note(href: str, size: int | None = None) -> dict[str, Any]:
    """What stands in for a value of ``size`` bytes of JSON text."""
    return {"truncated": True, **({"bytes": size} if size is not None else {}), "href": href}


def fitted(document: dict[str, Any], places: Sequence[Place], last_resort: Place | None = None) -> Answer:
    """The document as an answer, the largest values at ``places`` replaced by notes until it fits."""
    data = msgspec.json.encode(document)
    if len(data) > BODY_BYTES_MAX:
        excess = len(data) - BODY_BYTES_MAX
        sizes = [len(msgspec.json.encode(place.holder[place.key])) for place in places]
        for size, place in sorted(zip(sizes, places, strict=True), key=lambda pair: -pair[0]):
            if excess <= 0:
                break
            replacement = note(place.href, size)
            excess -= size - len(msgspec.json.encode(replacement))
            place.holder[place.key] = replacement
        data = msgspec.json.encode(document)
    if len(data) > BODY_BYTES_MAX and last_resort is not None:
        last_resort.holder[last_resort.key] = note(last_resort.href)
        data = msgspec.json.encode(document)
    return Answer(200, data, JSON_TYPE)


def sliced(text: bytes, range_: str) -> Answer:
    """Bytes ``START-END`` of a JSON text (END inclusive, as in HTTP; at most 4 MiB are given). Raises `Problem`."""
    found = _RANGE.fullmatch(range_)
    start, last = (int(found[1]), int(found[2] or len(text) - 1)) if found is not None else (0, -1)
    if start >= len(text) or last < start:
        headers = {"Content-Range": f"bytes */{len(text)}"}
        raise Problem("range_not_satisfiable", f"the value has {len(text)} bytes", headers=headers)
    end = min(last, start + SLICE_BYTES_MAX - 1, len(text) - 1)
    headers = {"Content-Range": f"bytes {start}-{end}/{len(text)}"}
    return Answer(206, text[start : end + 1], "application/octet-stream", headers)
