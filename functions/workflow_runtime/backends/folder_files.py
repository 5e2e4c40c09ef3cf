"""`ports.Files` on one machine: a folder stands for S3, and in it a folder for each bucket."""

from __future__ import annotations

from pathlib import Path

from workflow_runtime.errors import NodeError
from workflow_runtime.ports import File


class FolderFiles:
    """See `ports.Files`. ``folder`` None: nothing stands for S3."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def find(self, bucket: str, key: str) -> File:
        path = self._path(bucket, key)
        try:
            found = path.stat()
        except OSError as error:
            raise NodeError("not_found", f"there is no file {path} (for s3://{bucket}/{key})") from error
        if not path.is_file():
            raise NodeError("not_found", f"{path} (for s3://{bucket}/{key}) is not a file")
        return File(found.st_size, str(found.st_mtime_ns))

    def read(self, bucket: str, key: str, file: File, start: int, size: int) -> bytes:
        path = self._path(bucket, key)
        if self.find(bucket, key) != file:
            raise NodeError("execution_error", f"{path} was changed while it was being read")
        try:
            with path.open("rb") as opened:
                opened.seek(start)
                return opened.read(size)
        except OSError as error:
            raise NodeError("not_allowed", f"{path} cannot be read: {error.strerror}") from error

    def _path(self, bucket: str, key: str) -> Path:
        if self._folder is None:
            message = f"no folder stands for S3 here, so there is no s3://{bucket}/{key}; BUCKETS_DIR names one"
            raise NodeError("not_found", message)
        place = (self._folder / bucket).resolve()
        path = (place / key).resolve()
        if not path.is_relative_to(place) or place.parent != self._folder.resolve():
            raise NodeError("not_allowed", f"s3://{bucket}/{key} leads out of the folder {place}")
        return path
