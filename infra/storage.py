"""Where everything is kept: one table, and a bucket for what is too large for it."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.props import RuntimeProps
from infra.suppressions import accept
from workflow_runtime.backends.aws.items import INDEX, LISTING
from workflow_runtime.backends.limits import (
    EXPIRES_ATTRIBUTE,
    INDEX_PARTITION_ATTRIBUTE,
    INDEX_SORT_ATTRIBUTE,
    LISTING_PARTITION_ATTRIBUTE,
    LISTING_SORT_ATTRIBUTE,
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
)
from workflow_runtime.ports import LISTED_ATTRIBUTES

BLOB_PREFIX = "executions/"  # of all keys: whatever is in the bucket belongs to an execution
UPLOAD_DAYS_MAX = 7  # of an upload in parts that was never finished


class Storage(Construct):
    """The table with its index, and the bucket."""

    def __init__(self, scope: Construct, id: str, props: RuntimeProps) -> None:
        super().__init__(scope, id)
        self.table = self._table(props)
        self.bucket = self._bucket(props)

    def _table(self, props: RuntimeProps) -> dynamodb.Table:
        warm = _warm(props)
        table = dynamodb.Table(
            self,
            "Table",
            partition_key=_text(PARTITION_ATTRIBUTE),
            sort_key=_text(SORT_ATTRIBUTE),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=EXPIRES_ATTRIBUTE,
            encryption=_table_encryption(props),
            encryption_key=props.key,
            deletion_protection=props.deletion_protection,
            removal_policy=props.removal_policy,
            warm_throughput=warm,
        )
        table.add_global_secondary_index(
            index_name=INDEX,
            partition_key=_text(INDEX_PARTITION_ATTRIBUTE),
            sort_key=_text(INDEX_SORT_ATTRIBUTE),
            warm_throughput=warm,
        )
        # CloudFormation adds or removes one index in an update, so no release may do more.
        table.add_global_secondary_index(
            index_name=LISTING,
            partition_key=_text(LISTING_PARTITION_ATTRIBUTE),
            sort_key=_text(LISTING_SORT_ATTRIBUTE),
            warm_throughput=warm,
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=list(LISTED_ATTRIBUTES),
        )
        return table

    def _bucket(self, props: RuntimeProps) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Blobs",
            encryption=s3.BucketEncryption.KMS if props.key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=props.key,
            bucket_key_enabled=True if props.key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="expire",
                    prefix=BLOB_PREFIX,
                    expiration=Duration.days(2 * props.retention_days),  # as items: see `storage.retention`
                    abort_incomplete_multipart_upload_after=Duration.days(UPLOAD_DAYS_MAX),
                )
            ],
            removal_policy=props.removal_policy,
        )
        accept(
            bucket,
            "AwsSolutions::AwsSolutions-S1",
            "Only the functions' roles reach the bucket; CloudTrail data events record who did, where that is needed",
        )
        return bucket


def _table_encryption(props: RuntimeProps) -> dynamodb.TableEncryption:
    return dynamodb.TableEncryption.CUSTOMER_MANAGED if props.key else dynamodb.TableEncryption.DEFAULT


def _warm(props: RuntimeProps) -> dynamodb.WarmThroughput | None:
    warm = props.warm_throughput
    if warm is None:
        return None
    return dynamodb.WarmThroughput(read_units_per_second=warm.reads, write_units_per_second=warm.writes)


def _text(name: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
