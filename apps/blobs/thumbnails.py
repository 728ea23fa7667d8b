"""Small pictures of pictures, made when somebody first looks, once for each content.

The picture is decoded in a process that can be killed, with a bound on its memory and its time, and what comes of it is
kept: a blob of its own, or the reason why there is none, so that a hostile picture costs its seconds once. One that
was not made in time, perhaps because the machine had too much to do, is tried again when somebody looks `AGAIN_AFTER`
later, and a third time likewise. No transaction is open meanwhile; two who ask at the same time may both make it, and
one row stays.

A crash leaves nothing, or a blob that nobody refers to, which `discarding` finds.

Limits: at most `WORKERS` pictures are decoded at a time in a process, and who waits longer than `PATIENCE_SECONDS` for
a turn is told to come again: pages must not wait behind pictures.
"""

import atexit
import functools
import os
import threading
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.blobs.errors import BlobMissing
from apps.blobs.models import Blob, OutOfTime, Thumbnail
from apps.blobs.selectors import read
from apps.blobs.services import put, stage
from apps.mime.processes import AnswerUnpickler, BoundedProcesses, WorkerFailed

WORKERS = 2
MEMORY_BYTES = 1024 * 1024 * 1024
DECODING_SECONDS = 4.0
PATIENCE_SECONDS = 4.0
AGAIN_AFTER = timedelta(minutes=10)
MAX_SOURCE_BYTES = 40 * 1024 * 1024

_TURNS = threading.BoundedSemaphore(WORKERS)


class NotYet(Exception):
    """Others are waiting for theirs. Asking again later is right."""


def thumbnail_of(blob: Blob) -> Thumbnail:
    """The small picture of a blob's picture, made now where there is none yet.

    Raises NotYet, ObjectStoreUnavailable, and BlobMissing where the picture is gone.
    """
    known = Thumbnail.objects.select_related("image").filter(source=blob).first()
    if known is not None and not _is_worth_another_try(known):
        return known
    if blob.size_bytes > MAX_SOURCE_BYTES:
        return _keep(blob, "too_many_bytes")
    if not _TURNS.acquire(timeout=PATIENCE_SECONDS):
        raise NotYet
    try:
        made = _make(read(blob))
    finally:
        _TURNS.release()
    return _keep(blob, made, known)


def _is_worth_another_try(known: Thumbnail) -> bool:
    is_open = bool(known.refused_because) and not known.is_refused_for_good
    return is_open and timezone.now() - known.made_at >= AGAIN_AFTER


def _make(content: bytes) -> tuple[bytes, int, int] | str:
    try:
        made: tuple[bytes, int, int] | str = default_processes().ask(
            "thumbnail", content, timeout_seconds=DECODING_SECONDS
        )
    except WorkerFailed as failure:
        return OutOfTime.ONCE if failure.timed_out else "damaged"
    return made


def _keep(blob: Blob, made: tuple[bytes, int, int] | str, before: Thumbnail | None = None) -> Thumbnail:
    """`before`: what had to be tried again."""
    image, width, height = (b"", 0, 0) if isinstance(made, str) else made
    refused = made if isinstance(made, str) else ""
    if refused == OutOfTime.ONCE and before is not None:
        refused = OutOfTime(before.refused_because).next
    staged = stage(image)
    try:
        with transaction.atomic():
            fields = {
                "image": put(blob.organisation_id, staged) if image else None,
                "width": width,
                "height": height,
                "refused_because": refused,
            }
            if before is None:
                row = Thumbnail(organisation_id=blob.organisation_id, source=blob, **fields)
                Thumbnail.objects.bulk_create([row], ignore_conflicts=True)
            else:
                # Unless somebody else has tried it meanwhile.
                still_as_before = Thumbnail.objects.filter(
                    pk=before.pk, refused_because=before.refused_because
                )
                still_as_before.update(made_at=timezone.now(), **fields)
    except IntegrityError as error:
        raise BlobMissing(blob.object_key) from error  # it was discarded meanwhile
    kept = Thumbnail.objects.select_related("image").filter(source=blob).first()
    if kept is None:
        raise BlobMissing(blob.object_key)
    return kept


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
