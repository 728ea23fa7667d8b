"""Several small contents of one organisation in one object: how they are laid out.

Each object costs S3 about a millisecond, whatever its size, and a mail is a few kilobytes. So what is small and goes
there at the same time lies end to end in a `Pack`, without anything between, and the row of each content says where. A
pack is written once and never changed: when contents of it are discarded, the others move (`repacking`).
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from apps.blobs.models import OBJECT_PREFIX, PACK_PREFIX
from apps.organisations.models import new_id

# What is larger has an object of its own: there is nothing to be gained by then, and less to be copied when others go.
PACKED_BELOW_BYTES = 128 * 1024
# SeaweedFS reads as much as lies in one chunk of its own, up to 4 MB, for whoever wants a piece of it: a mail alone is
# read at three times the price then. A pack of a megabyte costs a content of it a few microseconds.
PACK_BOUND_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Layout:
    """One object: its bytes, and where each content begins, by its blob's id. One that is no pack bears the name of its
    only content."""

    id: uuid.UUID
    is_pack: bool
    content: bytes
    offsets: Mapping[uuid.UUID, int]

    @property
    def pack_id(self) -> uuid.UUID | None:
        return self.id if self.is_pack else None

    @property
    def object_key(self) -> str:
        return f"{PACK_PREFIX if self.is_pack else OBJECT_PREFIX}{self.id}"


def lay_out(contents: Iterable[tuple[uuid.UUID, bytes]]) -> Iterator[Layout]:
    """Objects for these contents: packs within the bound, and one for each that is large or was left alone."""
    some: dict[uuid.UUID, bytes] = {}
    size_bytes = 0
    for blob_id, content in contents:
        if len(content) >= PACKED_BELOW_BYTES:
            yield _alone(blob_id, content)
            continue
        if size_bytes + len(content) > PACK_BOUND_BYTES:
            yield pack_of(some)
            some, size_bytes = {}, 0
        some[blob_id] = content
        size_bytes += len(content)
    if len(some) == 1:
        yield _alone(*some.popitem())
    elif some:
        yield pack_of(some)


def pack_of(contents: Mapping[uuid.UUID, bytes]) -> Layout:
    """One pack of all of these."""
    offsets: dict[uuid.UUID, int] = {}
    end = 0
    for blob_id, content in contents.items():
        offsets[blob_id] = end
        end += len(content)
    return Layout(new_id(), is_pack=True, content=b"".join(contents.values()), offsets=offsets)


def _alone(blob_id: uuid.UUID, content: bytes) -> Layout:
    return Layout(blob_id, is_pack=False, content=content, offsets={blob_id: 0})
