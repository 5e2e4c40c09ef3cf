"""The body of an HTTP response: read within bounds, unpacked, and decoded as what it says it is.

Whatever comes, there is a usable result: text in unknown bytes has replacement characters, numbers that JSON values
here cannot hold are text. A warning says what was changed.
"""

from __future__ import annotations

import asyncio
import base64
import codecs
import zlib
from collections.abc import Iterator
from email.message import Message
from typing import TYPE_CHECKING, Literal

from workflow_runtime.invokers.tools.builtin.foreign_json import TooManyParts, read_json
from workflow_runtime.language.json_values import Json

if TYPE_CHECKING:
    import httpx

Form = Literal["auto", "text", "bytes"]
"""How a body is given: JSON by its content type and else text; text; base64."""

RESPONSE_BYTES_MAX = 5 * 1024 * 1024  # as received, and unpacked; a worker has 512 MB for ten nodes at once
PIECE_BYTES = 64 * 1024  # unpacked at once: what is too large is noticed before it is there
MEMBERS_MAX = 100  # of a gzip body: each costs a call, and may be empty
EXCERPT_CHARACTERS = 200
CONTENT_TYPE_CHARACTERS_MAX = 200  # the parser of parameters takes quadratic time

_CODECS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8"),
    **dict.fromkeys(("us-ascii", "ascii", "iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("gbk", "gb2312", "gb18030", "gb_2312-80", "x-gbk"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs"), "big5hkscs"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "windows-31j", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("utf-16", "utf-16le"), "utf-16-le"),
    **{f"iso-8859-{number}": f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"windows-125{number}": f"cp125{number}" for number in (0, 1, 3, 4, 5, 6, 7, 8)},
    "iso-8859-9": "cp1254",
    "utf-16be": "utf-16-be",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
}
"""Charsets by the labels they are known under (WHATWG Encoding); no others, as some of Python's take quadratic time."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Unreadable(Exception):
    """A body that cannot be given; the text says why, after "a body that …"."""


class Body:
    """A response's body as received. `decode` is for a thread: it takes time in proportion to the size."""

    def __init__(self, headers: httpx.Headers, data: bytes) -> None:
        said = Message()
        said["Content-Type"] = headers.get("content-type", "")[:CONTENT_TYPE_CHARACTERS_MAX] or "text/plain"
        self._type = said.get_content_type()
        self._charset = str(said.get_param("charset", "")).lower()
        self._encoding = headers.get("content-encoding", "").strip().lower()
        self._data = data
        self.warnings: list[str] = []

    def decode(self, form: Form) -> Json:
        """The body in this form. Raises `Unreadable`."""
        data = _unpacked(self._data, self._encoding)
        if form == "bytes":
            return base64.b64encode(data).decode("ascii")
        is_json = form == "auto" and (self._type in ("application/json", "text/json") or self._type.endswith("+json"))
        if is_json and not data.strip():
            return None
        text = self._text(data)
        return self._json(text) if is_json else text

    def excerpt(self) -> str:
        """The beginning of the body for an error message, in one line; "" when it is not text."""
        try:
            data = _unpacked(self._data, self._encoding)
        except Unreadable:
            return ""
        text = self._text(data[: EXCERPT_CHARACTERS * 8])
        words = " ".join(text.split())
        if "\0" in words or words.count("\ufffd") > len(words) // 10:
            return ""
        return words if len(words) <= EXCERPT_CHARACTERS else f"{words[:EXCERPT_CHARACTERS]}…"

    def _text(self, data: bytes) -> str:
        for mark, codec in _MARKS:
            if data.startswith(mark):
                return data[len(mark) :].decode(codec, "replace")
        codec = _CODECS.get(self._charset, "")
        if self._charset and not codec:
            self.warnings.append(f"the body's charset {self._charset[:40]!r} is not known; it was read as utf-8")
        text = data.decode(codec or "utf-8", "replace")
        if "\ufffd" in text:
            hint = "" if self._charset else "; it names no charset (response: bytes gives base64)"
            self.warnings.append(f"the body is not all {codec or 'utf-8'}: some of it was replaced{hint}")
        return text

    def _json(self, text: str) -> Json:
        try:
            return read_json(text, "the body", self.warnings.append)
        except TooManyParts as error:
            raise Unreadable(str(error)) from None
        except ValueError:
            self.warnings.append("the body is marked as JSON but is not; it is given as text")
            return text


async def received(response: httpx.Response) -> Body:
    """The body as it comes. Raises `Unreadable` for one that is too large, without reading it all."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > RESPONSE_BYTES_MAX:
            raise _too_large()
    return Body(response.headers, bytes(data))


async def decoded(body: Body, form: Form) -> Json:
    """`Body.decode` in a thread: unpacking and parsing 5 MB would hold up every other node."""
    return await asyncio.to_thread(body.decode, form)


def _unpacked(data: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity") or not data:
        return data
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Unreadable(f"is encoded as {encoding[:40]!r}, which was not asked for")
    unpacked = bytearray()
    try:
        for piece in _pieces(data, _format(data, encoding)):
            unpacked += piece
            if len(unpacked) > RESPONSE_BYTES_MAX:
                raise _too_large()
    except zlib.error:
        raise Unreadable(f"is marked as {encoding} but is not") from None
    return bytes(unpacked)


def _format(data: bytes, encoding: str) -> int:
    """What zlib is told: zlib's own format or gzip, by the first bytes; or deflate without either's header, which some
    servers send, against RFC 9110 §8.4.1.2."""
    has_header = data[:2] == b"\x1f\x8b" or (data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0)
    return zlib.MAX_WBITS | 32 if has_header or encoding != "deflate" else -zlib.MAX_WBITS


def _pieces(data: bytes, wbits: int) -> Iterator[bytes]:
    """The unpacked data of all members, piece by piece. Raises `zlib.error`."""
    for _ in range(MEMBERS_MAX):
        unpacker = zlib.decompressobj(wbits)
        while not unpacker.eof:
            piece = unpacker.decompress(data, PIECE_BYTES)
            yield piece
            data = unpacker.unconsumed_tail
            if not piece and not data and not unpacker.eof:
                raise zlib.error("it ends too early")
        data = unpacker.unused_data
        if not data.strip(b"\0"):
            return
    raise zlib.error("too many members")


def _too_large() -> Unreadable:
    return Unreadable(f"is larger than {RESPONSE_BYTES_MAX} bytes")
