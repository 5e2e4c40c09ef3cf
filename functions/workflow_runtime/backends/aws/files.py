"""`ports.Files` on S3. The function's role is the outer fence of what may be read, the allow-list the inner one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from workflow_runtime.backends.aws.faults import error_code
from workflow_runtime.deployment.settings import ITEMS_ALLOW
from workflow_runtime.errors import NodeError
from workflow_runtime.ports import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_FORBIDDEN = ("403", "AccessDenied", "Forbidden")
_CHANGED = ("412", "PreconditionFailed")
_THROTTLED = ("503", "SlowDown", "RequestLimitExceeded")


class S3Files:
    """See `ports.Files`. ``allowed``: the entries of `ITEMS_ALLOW`.

    A role that may read objects but not list them is told 403 for one that is not there.
    """

    def __init__(self, client: S3Client, allowed: Sequence[str]) -> None:
        self._client = client
        self._allowed = allowed

    def find(self, bucket: str, key: str) -> File:
        self._check(f"{bucket}/{key}")
        with _told(f"s3://{bucket}/{key}"):
            found = self._client.head_object(Bucket=bucket, Key=key)
        return File(found["ContentLength"], found["ETag"])

    def read(self, bucket: str, key: str, file: File, start: int, size: int) -> bytes:
        self._check(f"{bucket}/{key}")
        part = f"bytes={start}-{start + size - 1}"
        with _told(f"s3://{bucket}/{key}"):
            return self._client.get_object(Bucket=bucket, Key=key, Range=part, IfMatch=file.version)["Body"].read()

    def _check(self, file: str) -> None:
        if not any(file.startswith(entry[:-1]) if entry.endswith("*") else file == entry for entry in self._allowed):
            message = f"s3://{file} is not on the allow-list of the pool"
            raise NodeError("not_allowed", f"{message}; the setting {ITEMS_ALLOW} of the deployment opens it")


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What S3 answers as an error of a node."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        if code in _MISSING:
            raise NodeError("not_found", f"{address} is not there") from error
        if code in _FORBIDDEN:
            message = f"{address} is not there, or the role of the worker may not read it (S3 answers 403 for both)"
            raise NodeError("not_allowed", message) from error
        if code in _CHANGED:
            raise NodeError("execution_error", f"{address} was changed while it was being read") from error
        kind = "rate_limited" if code in _THROTTLED else "execution_error"
        raise NodeError(kind, f"{address} cannot be read: {code}") from error
    except BotoCoreError as error:
        raise NodeError("execution_error", f"{address} cannot be read: {error}") from error
