"""Answers end at 6 MB (Lambda), values at 50 MB: what does not fit is named, and read in slices.

A value that is too large is replaced by a note ``{"truncated": true, "href": …}``. The ``href`` reads the first slice
of its JSON text; ``Content-Range`` tells how much there is, and the slices one after the other are the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from workflow_runtime.frontends.api.answers import BODY_BYTES_MAX, JSON_TYPE, Answer
from workflow_runtime.frontends.api.problems import Problem

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
