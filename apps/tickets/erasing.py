"""What tickets keep of a customer: held mail goes; a ticket stays as a shell, with its number, notes and times."""

from collections import Counter
from collections.abc import Sequence

from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from apps.blobs.discarding import discard
from apps.events.notices import announce
from apps.organisations.erasing import Found, Subject, uuid_after
from apps.tickets.models import HeldMessage, Ticket, TrustedSender

AT_ONCE = 200


class HeldMail:
    """Their mail that waits for a person, or was decided on."""

    name = "held mail"

    def find(self, subject: Subject, after: str) -> list[Found]:
        held = HeldMessage.objects.alias(wrote=Lower("sender_address"), sent=Lower("envelope_sender")).filter(
            Q(wrote=subject.address) | Q(sent=subject.address),
            organisation_id=subject.organisation_id,
            received_at__lte=subject.requested_at,
            pk__gt=uuid_after(after),
        )
        return [Found(str(pk)) for pk in held.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        rows = HeldMessage.objects.filter(pk__in=[one.key for one in found])
        contents = set(rows.values_list("raw_id", flat=True))
        rows.delete()
        return Counter(held=len(found), contents=discard(contents))


class Requesters:
    """Tickets of theirs. What they asked about is theirs; what the team noted is the team's."""

    name = "tickets"

    def find(self, subject: Subject, after: str) -> list[Found]:
        tickets = Ticket.objects.alias(asked=Lower("requester_address")).filter(
            asked=subject.address,
            organisation_id=subject.organisation_id,
            opened_at__lte=subject.requested_at,
            pk__gt=uuid_after(after),
        )
        return [Found(str(pk)) for pk in tickets.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        tickets = Ticket.objects.filter(pk__in=[one.key for one in found])
        mailboxes = set(tickets.values_list("mailbox_id", flat=True))
        erased = tickets.update(
            requester_name=_("Erased customer"), requester_address=subject.pseudonym, subject=_("Erased")
        )
        announce(mailboxes, "tickets")
        return Counter(tickets=erased)


class Trust:
    """That the organisation trusts them."""

    name = "trusted senders"

    def find(self, subject: Subject, after: str) -> list[Found]:
        rows = TrustedSender.objects.filter(organisation_id=subject.organisation_id, sender=subject.address)
        return [Found(str(pk)) for pk in rows.values_list(F("pk"), flat=True)]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        TrustedSender.objects.filter(pk__in=[one.key for one in found]).delete()
        return Counter(trusted=len(found))
