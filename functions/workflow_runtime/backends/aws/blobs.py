"""`ports.Blobs` on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.faults import error_code, translated
from workflow_runtime.backends.limits import check_blob_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef


class S3Blobs:
    """See `ports.Blobs`. The bucket encrypts by default; expiry is the bucket's lifecycle."""

    def __init__(self, client: S3Client, bucket_name: str) -> None:
        self._client = client
        self._bucket_name = bucket_name

    def put(self, key: str, data: bytes) -> None:
        check_blob_key(key)
        with translated("writing an object"):
            self._client.put_object(Bucket=self._bucket_name, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        check_blob_key(key)
        with translated("reading an object"):
            try:
                return self._client.get_object(Bucket=self._bucket_name, Key=key)["Body"].read()
            except ClientError as error:
                if error_code(error) == "NoSuchKey":
                    raise KeyError(key) from error
                raise

    def list(self, prefix: str, after: str, limit: int) -> list[str]:
        with translated("listing objects"):
            answer = self._client.list_objects_v2(
                Bucket=self._bucket_name, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        return [found["Key"] for found in answer.get("Contents", ())]

    def renew(self, key: str) -> None:
        """A copy in place: the bucket's lifecycle counts from the last writing. S3 takes none that changes nothing."""
        check_blob_key(key)
        source: CopySourceTypeDef = {"Bucket": self._bucket_name, "Key": key}
        with translated("renewing an object"):
            try:
                self._client.copy_object(
                    Bucket=self._bucket_name, Key=key, CopySource=source, MetadataDirective="REPLACE"
                )
            except ClientError as error:
                if error_code(error) == "NoSuchKey":
                    raise KeyError(key) from error
                raise
