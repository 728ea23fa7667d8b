"""Small pictures of pictures, made when somebody first looks, once for each content.

The picture is decoded in a process that can be killed, with a bound on its memory and its time, and what comes of it is
kept: a blob of its own, or the reason why there is none, so that a hostile picture costs its seconds once. No
transaction is open meanwhile; two who ask at the same time may both make it, and one row stays.

A crash leaves nothing, or a blob that nobody refers to, which `discarding` finds.

Limits: at most `WORKERS` pictures are decoded at a time in a process, and who waits longer than `PATIENCE_SECONDS` for
a turn is told to come again: pages must not wait behind pictures.
"""

import atexit
import functools
import os
import threading

from django.db import IntegrityError, transaction

from apps.blobs.errors import BlobMissing
from apps.blobs.models import Blob, Thumbnail
from apps.blobs.selectors import read
from apps.blobs.services import put, stage
from apps.mime.processes import AnswerUnpickler, BoundedProcesses, WorkerFailed

WORKERS = 2
MEMORY_BYTES = 1024 * 1024 * 1024
DECODING_SECONDS = 4.0
PATIENCE_SECONDS = 4.0
MAX_SOURCE_BYTES = 40 * 1024 * 1024

_TURNS = threading.BoundedSemaphore(WORKERS)


class NotYet(Exception):
    """Others are waiting for theirs. Asking again later is right."""


def thumbnail_of(blob: Blob) -> Thumbnail:
    """The small picture of a blob's picture, made now where there is none yet.

    Raises NotYet, ObjectStoreUnavailable, and BlobMissing where the picture is gone.
    """
    known = Thumbnail.objects.select_related("image").filter(source=blob).first()
    if known is not None:
        return known
    if blob.size_bytes > MAX_SOURCE_BYTES:
        return _keep(blob, "too_many_bytes")
    if not _TURNS.acquire(timeout=PATIENCE_SECONDS):
        raise NotYet
    try:
        made = _make(read(blob))
    finally:
        _TURNS.release()
    return _keep(blob, made)


def _make(content: bytes) -> tuple[bytes, int, int] | str:
    try:
        made: tuple[bytes, int, int] | str = default_processes().ask(
            "thumbnail", content, timeout_seconds=DECODING_SECONDS
        )
    except WorkerFailed as failure:
        return "took_too_long" if failure.timed_out else "damaged"
    return made


def _keep(blob: Blob, made: tuple[bytes, int, int] | str) -> Thumbnail:
    image, width, height = (b"", 0, 0) if isinstance(made, str) else made
    staged = stage(image)
    try:
        with transaction.atomic():
            row = Thumbnail(
                organisation_id=blob.organisation_id,
                source=blob,
                image=put(blob.organisation_id, staged) if image else None,
                width=width,
                height=height,
                refused_because=made if isinstance(made, str) else "",
            )
            Thumbnail.objects.bulk_create([row], ignore_conflicts=True)
    except IntegrityError as error:
        raise BlobMissing(blob.object_key) from error  # it was discarded meanwhile
    return Thumbnail.objects.select_related("image").get(source=blob)


@functools.cache
def default_processes() -> BoundedProcesses:
    """The process's own, started when first needed."""
    processes = BoundedProcesses(
        "apps.mime.picture_worker", answers=AnswerUnpickler, workers=WORKERS, memory_bytes=MEMORY_BYTES
    )
    atexit.register(processes.close)
    return processes


# A forked child must not talk to its parent's workers over the sockets it inherited.
os.register_at_fork(after_in_child=default_processes.cache_clear)
