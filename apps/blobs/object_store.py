"""S3, and nothing else: put, get, delete and list objects of one bucket.

This is the only module that speaks to the object store. One client serves the whole process: boto3 clients are
thread-safe, but making one is neither thread-safe nor cheap (76 ms), so it is made once under a lock.

An answer that says "not now" or no answer at all becomes `ObjectStoreUnavailable`; a missing object `BlobMissing`.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings

from apps.blobs.errors import BlobMissing, ObjectStoreUnavailable
from apps.blobs.lean_store import CONTENT_TYPE, LeanStore, Span

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 32
PUT_THREADS = 8
LEAN_CONNECTIONS = 16
PIECE_BYTES = 1024 * 1024
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    modified_at: datetime
    size_bytes: int


class ObjectStore:
    """One bucket. Every method blocks on the network: never call one inside a transaction."""

    def __init__(self, *, endpoint_url: str, bucket: str, access_key: str, secret_key: str) -> None:
        self.bucket = bucket
        self._client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url or None,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            region_name=REGION,
            config=Config(
                max_pool_connections=MAX_CONNECTIONS,
                connect_timeout=2,
                read_timeout=20,
                retries={"max_attempts": 2, "mode": "standard"},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        # AWS itself, without an endpoint of its own, has rules about hosts and regions that boto3 knows.
        self._lean = (
            LeanStore(
                endpoint_url=endpoint_url,
                bucket=bucket,
                access_key=access_key,
                secret_key=secret_key,
                region=REGION,
                connections=LEAN_CONNECTIONS,
            )
            if endpoint_url
            else None
        )

    def put(self, key: str, content: bytes) -> None:
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content, ContentType=CONTENT_TYPE)
        except (BotoCoreError, ClientError) as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def put_many(self, contents: Mapping[str, bytes]) -> set[str]:
        """Store contents by their keys; those that S3 took. Raises ObjectStoreUnavailable when it took none."""
        stored = set(self._lean.put_many(contents)) if self._lean is not None else set()
        rest = [key for key in contents if key not in stored]
        if rest:
            with ThreadPoolExecutor(PUT_THREADS, thread_name_prefix="put") as pool:
                taken = pool.map(lambda key: self._try_put(key, contents[key]), rest)
                stored.update(key for key, is_taken in zip(rest, taken, strict=True) if is_taken)
        if contents and not stored:
            msg = f"S3 took none of {len(contents)} objects"
            raise ObjectStoreUnavailable(msg)
        return stored

    def put_promptly(self, contents: Mapping[str, bytes], seconds: float) -> None:
        """Store contents by their keys in about so many seconds. Raises ObjectStoreUnavailable unless all were taken.

        AWS itself, which is not asked by hand, is so slow to say no that it counts as away.
        """
        stored = set(self._lean.put_many(contents, seconds)) if self._lean is not None else set()
        if len(stored) < len(contents):
            msg = f"S3 took {len(stored)} of {len(contents)} objects in time"
            raise ObjectStoreUnavailable(msg)

    def _try_put(self, key: str, content: bytes) -> bool:
        try:
            self.put(key, content)
        except ObjectStoreUnavailable as error:
            log.warning("object_not_taken", key=key, error=str(error))
            return False
        return True

    def get(self, key: str) -> bytes:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise _named(error, key) from error
        except BotoCoreError as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def pieces(self, key: str) -> Iterator[bytes]:
        """The bytes of an object as they come, for who must not hold all of them. Raises what `get` raises."""
        try:
            yield from self._client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(PIECE_BYTES)
        except ClientError as error:
            raise _named(error, key) from error
        except BotoCoreError as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def size_of(self, key: str) -> int | None:
        """How many bytes an object has; None when there is none of that name."""
        try:
            return self._client.head_object(Bucket=self.bucket, Key=key)["ContentLength"]
        except ClientError as error:
            failure = _named(error, key)
            if isinstance(failure, BlobMissing):
                return None
            raise failure from error
        except BotoCoreError as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The contents of many objects. Raises what `get` raises, for any of them."""
        contents = dict(self._lean.get_many(keys)) if self._lean is not None else {}
        return contents | {key: self.get(key) for key in keys if key not in contents}

    def get_spans(self, spans: Sequence[Span]) -> dict[Span, bytes]:
        """Pieces of objects. Raises what `get` raises, for any of them; one that is cut short is missing."""
        contents = dict(self._lean.get_spans(spans)) if self._lean is not None else {}
        return contents | {span: self._get_span(span) for span in spans if span not in contents}

    def _get_span(self, span: Span) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=span.key, Range=span.header)
            content = answer["Body"].read()
        except ClientError as error:
            raise _named(error, span.key) from error
        except BotoCoreError as error:
            raise ObjectStoreUnavailable(str(error)) from error
        if len(content) != span.length:
            raise BlobMissing(f"{span.key} ends early")
        return content

    def delete(self, key: str) -> None:
        try:
            self._client.delete_object(Bucket=self.bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Every object under a prefix, in pages of a thousand and in the order of their names."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                for entry in page.get("Contents", []):
                    yield StoredObject(entry["Key"], entry["LastModified"], entry["Size"])
        except (BotoCoreError, ClientError) as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def ensure_bucket(self) -> None:
        """Make the bucket where it is missing; harmless when it is there."""
        try:
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in {"404", "NoSuchBucket"}:
                    raise
                self._client.create_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            raise ObjectStoreUnavailable(str(error)) from error

    def check(self) -> None:
        """Raise `ObjectStoreUnavailable` unless the bucket answers."""
        try:
            self._client.head_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            raise ObjectStoreUnavailable(str(error)) from error


def _named(error: ClientError, key: str) -> BlobMissing | ObjectStoreUnavailable:
    """The store's refusal as one of ours."""
    if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404", "InvalidRange", "416"}:
        return BlobMissing(key)
    return ObjectStoreUnavailable(str(error))


_lock = threading.Lock()
_store: ObjectStore | None = None


def object_store() -> ObjectStore:
    """The process's one client of the configured bucket."""
    global _store  # noqa: PLW0603 - a process-wide connection pool is what this is for
    if _store is None:
        with _lock:
            if _store is None:
                _store = ObjectStore(**settings.OBJECT_STORE)
    return _store
