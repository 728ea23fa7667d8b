"""What to answer to RCPT: is the address ours?"""

from collections.abc import Sequence

from django.utils import timezone

from apps.inbound.service import RecipientAnswer
from apps.mailboxes.addresses import Owners, find_owners, find_postmaster
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.bounces.arrivals import organisation_of
from apps.outbound.bounces.return_path import looks_like_return_path


def recognise_recipients(addresses: Sequence[str], hostname: str) -> list[RecipientAnswer]:
    """Decide by the rows of addresses we own and by our signature on return paths, never by the domain alone; for all
    of them in one question. `hostname`: this platform's own name.

    RFC 3463 §3.2: 5.1.3 bad syntax, 5.1.1 nobody here has this address; §3.8: 5.7.1 we do not relay.
    """
    meant = [_meant(address, hostname) for address in addresses]
    owners = find_owners(one for one in meant if one is not None and not looks_like_return_path(one))
    return [
        RecipientAnswer(given, None, "553 5.1.3 This is not a mail address")
        if normal is None
        else _answer(normal, owners)
        for given, normal in zip(addresses, meant, strict=True)
    ]


def _meant(address: str, hostname: str) -> str | None:
    """The normalised address; None for what is none."""
    if address.lower() in {"postmaster", f"postmaster@{hostname.lower()}"}:
        # RFC 5321 §4.5.1: with no domain, or with this server's own name.
        return find_postmaster(hostname) or None
    try:
        return normalise_address(address)
    except InvalidAddress:
        return None


def _answer(normal: str, owners: Owners) -> RecipientAnswer:
    if looks_like_return_path(normal):
        organisation_id = organisation_of(normal, timezone.now())
        refusal = "" if organisation_id else "550 5.1.1 This is no return path of ours, or one that ran out"
        return RecipientAnswer(normal, organisation_id, refusal)
    organisation_id = owners.by_address.get(normal)
    if organisation_id is not None:
        return RecipientAnswer(normal, organisation_id)
    if normal.rpartition("@")[2] in owners.domains:
        return RecipientAnswer(normal, None, "550 5.1.1 Nobody here has this address")
    return RecipientAnswer(normal, None, "550 5.7.1 Relaying denied")
