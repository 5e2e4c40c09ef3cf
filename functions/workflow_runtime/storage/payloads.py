"""Payloads: JSON values as bytes, compressed when that helps, in the item when small, in the blob store when not."""

from __future__ import annotations

import zlib

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.language.json_values import Json
from workflow_runtime.ports import Attribute, Blobs

PLAIN_BYTES_MAX = 256  # below this zlib saves less than it costs
INLINE_BYTES_MAX = 8 * 1024  # compressed; more goes to the blob store, so that items stay cheap to write and to read
MESSAGE_VALUE_BYTES_MAX = 64 * 1024  # as JSON, which is how values travel: text that compresses well may be long
PAYLOAD_BYTES_MAX = 50 * 1024 * 1024  # one value; a worker holds several in memory
COMPRESSION_LEVEL = 1  # on JSON, level 6 takes three times as long to save another tenth
SHORT_BYTES_MAX = 32 * 1024  # up to here, small tables save as much; making large ones costs more than compressing
SHORT_WINDOW_BITS, SHORT_MEMORY_LEVEL = 13, 6

_PLAIN, _ZLIB = b"j", b"z"


def pack(value: Json) -> bytes:
    """The stored form of a JSON value. Raises `NodeError` for more than `PAYLOAD_BYTES_MAX`."""
    return pack_bytes(msgspec.json.encode(value))


def pack_bytes(data: bytes) -> bytes:
    if len(data) > PAYLOAD_BYTES_MAX:
        raise NodeError("too_large", f"a value of {len(data):,} bytes; at most {PAYLOAD_BYTES_MAX:,} are stored")
    if len(data) > PLAIN_BYTES_MAX:
        compressed = _compressed(data)
        if len(compressed) < len(data):
            return _ZLIB + compressed
    return _PLAIN + data


def _compressed(data: bytes) -> bytes:
    if len(data) > SHORT_BYTES_MAX:
        return zlib.compress(data, COMPRESSION_LEVEL)
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, SHORT_WINDOW_BITS, SHORT_MEMORY_LEVEL)
    return compressor.compress(data) + compressor.flush()


def unpack_bytes(packed: bytes) -> bytes:
    return zlib.decompress(packed[1:]) if packed[:1] == _ZLIB else packed[1:]


def unpacked(data: bytes) -> bytes:
    """The same payload, not compressed. Other bytes, which are JSON texts, stay as they are: none begins like one."""
    if data[:1] != _ZLIB:
        return data
    return _PLAIN + zlib.decompress(data[1:])


def is_at_hand(held: Attribute) -> bool:
    """Whether what an item holds of a payload is read at once: it is small, not compressed, and in the item."""
    return held is None or (isinstance(held, bytes) and held[:1] == _PLAIN)


def unpack(packed: bytes) -> Json:
    return msgspec.json.decode(unpack_bytes(packed))


def is_large(data: bytes, packed: bytes) -> bool:
    """Whether a value (its JSON, its stored form) is too large for a message or a commit, and is stored apart."""
    return len(packed) > INLINE_BYTES_MAX or len(data) > MESSAGE_VALUE_BYTES_MAX


def is_small(packed: bytes) -> bool:
    """Whether a payload stays in its item."""
    return len(packed) <= INLINE_BYTES_MAX


def put_payload(blobs: Blobs, key: str, packed: bytes) -> bytes | str:
    """What an item holds of a payload: itself when small, else the key under which it was put into the blob store."""
    if is_small(packed):
        return packed
    blobs.put(key, packed)
    return key


def get_json(blobs: Blobs, held: Attribute) -> bytes:
    """The JSON text of the value behind what an item holds, not decoded; ``null`` where it holds nothing."""
    if isinstance(held, str):
        return unpack_bytes(blobs.get(held))
    return unpack_bytes(held) if isinstance(held, bytes) else b"null"


def get_payload(blobs: Blobs, held: Attribute) -> Json:
    """The value behind what an item holds; None where it holds nothing."""
    if isinstance(held, str):
        return unpack(blobs.get(held))
    return unpack(held) if isinstance(held, bytes) else None
