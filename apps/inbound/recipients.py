"""What to answer to RCPT: is the address ours?"""

from django.utils import timezone

from apps.inbound.service import RecipientAnswer
from apps.mailboxes.addresses import find_owned
from apps.mailboxes.models import Domain
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.bounces.arrivals import organisation_of
from apps.outbound.bounces.return_path import looks_like_return_path


def recognise_recipient(address: str) -> RecipientAnswer:
    """Decide by the rows of addresses we own and by our signature on return paths, never by the domain alone.

    RFC 3463 §3.2: 5.1.3 bad syntax, 5.1.1 nobody here has this address; §3.8: 5.7.1 we do not relay.
    """
    try:
        normal = normalise_address(address)
    except InvalidAddress:
        return RecipientAnswer(address, None, "553 5.1.3 This is not a mail address")
    if looks_like_return_path(normal):
        organisation_id = organisation_of(normal, timezone.now())
        refusal = "" if organisation_id else "550 5.1.1 This is no return path of ours, or one that ran out"
        return RecipientAnswer(normal, organisation_id, refusal)
    owned = find_owned([normal]).get(normal)
    if owned is not None:
        return RecipientAnswer(normal, owned.organisation_id)
    if Domain.objects.filter(name=normal.rpartition("@")[2], verified_at__isnull=False).exists():
        return RecipientAnswer(normal, None, "550 5.1.1 Nobody here has this address")
    return RecipientAnswer(normal, None, "550 5.7.1 Relaying denied")
