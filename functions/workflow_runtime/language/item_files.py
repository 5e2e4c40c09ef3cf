"""How a definition names the file that a loop reads its items from: an address in S3, and a format."""

from __future__ import annotations

import re

FORMATS = ("json", "jsonl", "csv")
KEY_BYTES_MAX = 1024  # S3
_ENDINGS = {"json": "json", "jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # S3's rules for names, without their exceptions


def parse_address(text: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``. Raises `ValueError`, with what is wrong with it."""
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key or key.endswith("/"):
        raise ValueError("it is not the address of a file like s3://bucket/folder/file.csv")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{bucket!r} is not the name of a bucket: 3 to 63 small letters, digits, dots and hyphens")
    if len(key.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise ValueError(f"its key is longer than {KEY_BYTES_MAX:,} bytes")
    return bucket, key


def format_of(key: str) -> str | None:
    """The format that the ending of a file's name tells, if it does."""
    return _ENDINGS.get(key.rpartition(".")[2].lower())
