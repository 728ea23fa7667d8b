"""Make a stored message's projection again, from the bytes that came.

What the bytes decide is written anew; everything that happened since stays: the message's id, its conversation, where
it lies, whether it was read, its ticket, who wrote it, why it was filed. A part keeps its row, and so its id, by its
number; new ones are added, and those that are no more are taken away. Doing it again changes nothing.

The row is locked while it is written, in one transaction: a crash leaves the old projection or the new one.

Limits: a conversation that a message was put into by references read wrongly is not chosen again; people may have
worked in it since.
"""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.mailboxes.models import Message, Part
from apps.mailboxes.projection import PreparedMessage, projected, projected_parts, put_for


def project_again(
    message_id: uuid.UUID, prepared: PreparedMessage, authentication: Mapping[str, Any] | None = None
) -> None:
    """Write what `prepared` says of a message that is there already, in a transaction of its own; and what was found
    out about its sender by now, where `authentication` tells.
    """
    with transaction.atomic():
        message = (
            Message.objects.select_for_update(of=("self",))
            .select_related("raw")
            .filter(pk=message_id)
            .first()
        )
        if message is None or message.raw.sha256 != prepared.raw.sha256:
            return  # erased meanwhile, or rewritten by an erasure: what was read is no longer there
        blobs = put_for(message.organisation_id, [(prepared, message.raw)])
        fields = projected(prepared, blobs)
        if authentication is not None:
            fields["authentication"] = authentication
        for name, value in fields.items():
            setattr(message, name, value)
        message.save(update_fields=list(fields))
        _write_parts(message, projected_parts(prepared, blobs))


def _write_parts(message: Message, wanted: dict[int, dict[str, object]]) -> None:
    existing = {part.n: part for part in Part.objects.filter(message=message)}
    gone = [part.pk for n, part in existing.items() if n not in wanted]
    Part.objects.filter(pk__in=gone).delete()
    changed = []
    for n, fields in wanted.items():
        part = existing.get(n)
        if part is None:
            continue
        for name, value in fields.items():
            setattr(part, name, value)
        changed.append(part)
    names = next(iter(wanted.values())).keys() if wanted else ()
    if changed:
        Part.objects.bulk_update(changed, names, batch_size=200)
    Part.objects.bulk_create(
        [Part(message=message, n=n, **fields) for n, fields in wanted.items() if n not in existing]
    )
