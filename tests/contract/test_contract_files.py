"""The promises of `ports.Files`: on S3 and in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workflow_runtime.backends.aws.backend import create_clients
from workflow_runtime.backends.aws.files import S3Files
from workflow_runtime.backends.folder_files import FolderFiles
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.errors import NodeError
from workflow_runtime.ports import Files

BUCKET = "orders"
Put = Callable[[str, bytes], None]


@pytest.fixture(params=["folder", "aws-on-moto"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Files, Put]]:
    """Files, and how one gets there."""
    if request.param == "folder":

        def write(key: str, data: bytes) -> None:
            path = tmp_path / BUCKET / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

        yield FolderFiles(tmp_path), write
        return
    with simulated.open_backend() as backend:
        s3 = create_clients(simulated.session()).s3
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": simulated.REGION})
        assert backend
        yield (
            S3Files(s3, [f"{BUCKET}/*", "elsewhere/x.csv"]),
            lambda key, data: s3.put_object(Bucket=BUCKET, Key=key, Body=data) and None,
        )


def test_a_file_is_found_and_read_in_parts(there: tuple[Files, Put]) -> None:
    files, put = there
    put("五月/名单 1.csv", b"0123456789")
    found = files.find(BUCKET, "五月/名单 1.csv")
    assert found.size == 10
    assert files.read(BUCKET, "五月/名单 1.csv", found, 0, 4) == b"0123"
    assert files.read(BUCKET, "五月/名单 1.csv", found, 8, 100) == b"89"


def test_an_empty_file_is_found(there: tuple[Files, Put]) -> None:
    files, put = there
    put("empty.csv", b"")
    assert files.find(BUCKET, "empty.csv").size == 0


@pytest.mark.parametrize(("bucket", "key"), [(BUCKET, "missing.csv"), ("elsewhere", "x.csv")])
def test_a_file_that_is_not_there_is_not_found(there: tuple[Files, Put], bucket: str, key: str) -> None:
    with pytest.raises(NodeError) as caught:
        there[0].find(bucket, key)
    assert caught.value.type == "not_found"
    assert f"s3://{bucket}/{key}" in caught.value.message


def test_a_file_that_changes_while_it_is_read_is_told(there: tuple[Files, Put]) -> None:
    """Its parts would be of two files."""
    files, put = there
    put("a.csv", b"0123456789")
    found = files.find(BUCKET, "a.csv")
    put("a.csv", b"9876543210!")
    with pytest.raises(NodeError, match="was changed while it was being read"):
        files.read(BUCKET, "a.csv", found, 4, 4)


def test_what_s3_may_not_read_is_not_allowed() -> None:
    with simulated.open_backend():
        s3 = create_clients(simulated.session()).s3
        with pytest.raises(NodeError) as caught:
            S3Files(s3, ["orders/in/*"]).find(BUCKET, "out/a.csv")
    assert caught.value.type == "not_allowed"
    assert "s3://orders/out/a.csv is not on the allow-list of the pool; the setting TOOLS_ITEMS_ALLOW" in str(
        caught.value
    )
