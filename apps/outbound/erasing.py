"""A customer's messages, and what was refused on its way to them.

Theirs are the messages they wrote; those that were sent to them and to nobody else outside the house; and reports of
other servers that speak of mail to them alone. With a message go its parts, entries, deliveries, attempts and reports.
What has other readers outside is rewritten instead: `mailboxes.erasing`.
"""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence

from django.db import connection
from django.db.models import QuerySet

from apps.blobs import selectors as blobs
from apps.blobs.discarding import discard
from apps.blobs.errors import BlobMissing
from apps.events.notices import announce
from apps.mailboxes.models import MailboxEntry, Message, Part, Thread
from apps.organisations.erasing import Found, Subject, uuid_after
from apps.outbound.models import RefusedFile, RefusedSubmission

AT_ONCE = 100

# A condition on `message`, of `%(address)s`.
OWN_MESSAGES = """
lower(message.sender_address) = %(address)s
OR (message.direction <> 'in'
    AND EXISTS (SELECT FROM jsonb_array_elements(message."to" || message.cc || message.bcc) AS one
        WHERE lower(one ->> 'address') = %(address)s)
    AND NOT EXISTS (SELECT FROM jsonb_array_elements(message."to" || message.cc || message.bcc) AS one
        WHERE lower(one ->> 'address') <> %(address)s
        AND NOT EXISTS (SELECT FROM mailboxes_ownedaddress AS own
            WHERE own.organisation_id = message.organisation_id AND own.address = lower(one ->> 'address'))))
OR (EXISTS (SELECT FROM outbound_deliveryreport AS report WHERE report.message_id = message.id)
    AND NOT EXISTS (SELECT FROM outbound_deliveryreport AS report
        JOIN outbound_delivery AS delivery ON delivery.id = report.delivery_id
        WHERE report.message_id = message.id AND lower(delivery.recipient) <> %(address)s))
"""
_FIND = f"""
SELECT message.id FROM mailboxes_message AS message
WHERE message.organisation_id = %(organisation)s AND message.id > %(after)s
    AND message.received_at <= %(requested_at)s AND ({OWN_MESSAGES})
ORDER BY message.id LIMIT {AT_ONCE}
"""  # noqa: S608 - our own words


class Messages:
    """The messages that are theirs."""

    name = "messages"

    def find(self, subject: Subject, after: str) -> list[Found]:
        with connection.cursor() as cursor:
            cursor.execute(
                _FIND,
                {
                    "organisation": subject.organisation_id,
                    "address": subject.address,
                    "requested_at": subject.requested_at,
                    "after": uuid_after(after),
                },
            )
            return [Found(str(pk)) for (pk,) in cursor.fetchall()]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        ids = [uuid.UUID(one.key) for one in found]
        messages = Message.objects.filter(pk__in=ids)
        contents = set(_contents_of(messages))
        threads = set(messages.values_list("thread_id", flat=True))
        mailboxes = set(MailboxEntry.objects.filter(message__in=ids).values_list("mailbox_id", flat=True))
        _removed, by_model = messages.delete()
        for thread in Thread.objects.filter(pk__in=threads):
            # It is called after its first message, which may have been theirs.
            first = thread.messages.order_by("received_at", "id").values_list("subject", flat=True).first()
            Thread.objects.filter(pk=thread.pk).update(subject=first or "")
        announce(mailboxes)
        return Counter(
            messages=by_model.get("mailboxes.Message", 0),
            files=by_model.get("mailboxes.Part", 0),
            deliveries=by_model.get("outbound.Delivery", 0),
            contents=discard(contents),
        )


def _contents_of(messages: QuerySet[Message]) -> Iterator[uuid.UUID]:
    for bodies in messages.values_list("raw_id", "text_id", "html_id"):
        yield from (pk for pk in bodies if pk is not None)
    yield from Part.objects.filter(message__in=messages).values_list("blob_id", flat=True)


class Refused:
    """Submissions that name them and could not be sent: their recipients stand in the content, which must be read."""

    name = "refused submissions"

    def find(self, subject: Subject, after: str) -> list[Found]:
        place = uuid_after(after)
        while True:
            rows = list(
                RefusedSubmission.objects.filter(
                    organisation_id=subject.organisation_id,
                    created_at__lte=subject.requested_at,
                    pk__gt=place,
                )
                .select_related("content")
                .order_by("pk")[:AT_ONCE]
            )
            found = [Found(str(row.pk)) for row in rows if _names(subject, row)]
            if found or not rows:
                return found
            place = rows[-1].pk

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        rows = RefusedSubmission.objects.filter(pk__in=[one.key for one in found])
        contents = set(rows.values_list("content_id", flat=True))
        contents |= set(RefusedFile.objects.filter(refused__in=rows).values_list("blob_id", flat=True))
        rows.delete()
        return Counter(refused=len(found), contents=discard(contents))


def _names(subject: Subject, row: RefusedSubmission) -> bool:
    try:
        content = blobs.read(row.content)
    except BlobMissing:
        content = b""
    content += f" {row.recipient} {row.reason} ".encode()
    return subject.redact(content) != content
