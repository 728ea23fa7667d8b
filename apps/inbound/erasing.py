"""What the listener keeps of a customer's mail: the envelope, and the hold on its bytes."""

from collections import Counter
from collections.abc import Sequence

from django.db import connection, transaction

from apps.blobs.discarding import discard
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.organisations.erasing import Found, NotYet, Subject, uuid_after
from apps.outbound.erasing import OWN_MESSAGES
from apps.tickets.models import HeldMessage, HeldState, HoldCause

AT_ONCE = 200

_FIND = f"""
SELECT received.id FROM inbound_receivedmessage AS received
LEFT JOIN mailboxes_message AS message ON message.id = received.message_id
LEFT JOIN tickets_heldmessage AS held ON held.id = received.held_id
WHERE received.organisation_id = %(organisation)s AND received.id > %(after)s AND received.state IN ('filed', 'held')
    AND received.received_at <= %(requested_at)s
    AND (lower(received.envelope_sender) = %(address)s OR lower(held.sender_address) = %(address)s
        OR (message.id IS NOT NULL AND ({OWN_MESSAGES})))
ORDER BY received.id LIMIT {AT_ONCE}
"""  # noqa: S608 - our own words


class Arrivals:
    """Mail that was accepted before the request and is not read yet: whose it is, nobody knows until it is filed."""

    name = "arrivals"

    def find(self, subject: Subject, after: str) -> list[Found]:
        with transaction.atomic():
            # What `admission.judge_again` is just giving back is unread once it has committed: wait for its locks.
            held = HeldMessage.objects.filter(
                organisation_id=subject.organisation_id,
                state=HeldState.WAITING,
                cause=HoldCause.SCANNER_UNAVAILABLE,
            )
            list(held.select_for_update().order_by("held_at").values_list("pk", flat=True))
        unread = ReceivedMessage.objects.filter(
            organisation_id=subject.organisation_id,
            state__in=[ReceivedState.ACCEPTED, ReceivedState.INGESTING],
            received_at__lte=subject.requested_at,
        )
        if unread.exists():
            raise NotYet
        return []

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        return Counter()


class ReceivedMail:
    """The record of having received their mail."""

    name = "received mail"

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
        rows = ReceivedMessage.objects.filter(pk__in=[one.key for one in found])
        contents = set(rows.values_list("raw_id", flat=True))
        removed, _by_model = rows.delete()
        return Counter(received=removed, contents=discard(contents))
