"""How a person looks at a message: with pictures from elsewhere or without, in its own colours or in adapted ones.

Trust in a sender's pictures is one person's: to show them tells the sender that somebody looks. It is in who the sender
is, so where their mail was proven to be theirs, later mail that is not gets no pictures by it; what is perhaps forged
gets none in any case.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db import transaction

from apps.accounts.principal import Principal
from apps.mailboxes.models import Message
from apps.mailboxes.provenance import Standing, provenance_of
from apps.mime.address import comparable_address
from apps.reading.models import PictureTrust, View


@dataclass(frozen=True, slots=True)
class Look:
    """How a message is shown. `is_trusted`: its pictures are, because its sender's always are."""

    shows_pictures: bool = False
    adapts_colours: bool = False
    is_trusted: bool = False


def looks_at(principal: Principal, messages: Collection[Message]) -> Mapping[uuid.UUID, Look]:
    """How the caller looks at each of these messages, in two queries."""
    if principal.user is None or not messages:
        return {}
    kept = {one.message_id: one for one in View.objects.filter(user=principal.user, message__in=messages)}
    senders = {comparable_address(one.sender_address) for one in messages}
    trust = {one.sender: one for one in PictureTrust.objects.filter(user=principal.user, sender__in=senders)}
    return {one.pk: _look(one, kept.get(one.pk), trust) for one in messages}


def look_at(principal: Principal, message: Message) -> Look:
    return looks_at(principal, [message]).get(message.pk, Look())


def _look(message: Message, view: View | None, trust: Mapping[str, PictureTrust]) -> Look:
    trusted = trust.get(comparable_address(message.sender_address))
    is_trusted = trusted is not None and _holds(trusted, message)
    return Look(
        shows_pictures=is_trusted or (view is not None and view.shows_pictures),
        adapts_colours=view is not None and view.adapts_colours,
        is_trusted=is_trusted,
    )


def _holds(trusted: PictureTrust, message: Message) -> bool:
    standing = provenance_of(message).standing
    return standing == Standing.PROVEN or (not trusted.only_proven and standing != Standing.FORGED)


def show_pictures(principal: Principal, message: Message) -> None:
    """Of this message, from now on."""
    _choose(principal, message, shows_pictures=True)


def adapt_colours(principal: Principal, message: Message, *, adapted: bool) -> None:
    _choose(principal, message, adapts_colours=adapted)


def trust_pictures(principal: Principal, message: Message) -> None:
    """Of everything this message's sender sends, as far as it is theirs."""
    is_proven = provenance_of(message).standing == Standing.PROVEN
    PictureTrust.objects.update_or_create(
        user=principal.user,
        sender=comparable_address(message.sender_address),
        defaults={"organisation_id": principal.organisation_id, "only_proven": is_proven},
    )
    show_pictures(principal, message)


@transaction.atomic
def distrust_pictures(principal: Principal, message: Message) -> None:
    """Show this sender's pictures no more unless they are asked for."""
    sender = comparable_address(message.sender_address)
    PictureTrust.objects.filter(user=principal.user, sender=sender).delete()
    _choose(principal, message, shows_pictures=False)


def _choose(principal: Principal, message: Message, **chosen: bool) -> None:
    View.objects.update_or_create(
        user=principal.user,
        message=message,
        defaults={"organisation_id": principal.organisation_id, **chosen},
    )
