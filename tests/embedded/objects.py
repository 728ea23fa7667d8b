"""A plain S3 client, to look at the embedded store from outside the product."""

import boto3
from botocore.config import Config
from types_boto3_s3 import S3Client

from mailplatform.embedded.access import S3Access


def s3_client(access: S3Access) -> S3Client:
    """Without retries: what is asked must be there at the first try."""
    return boto3.client(
        "s3",
        endpoint_url=access.url,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}),
    )
