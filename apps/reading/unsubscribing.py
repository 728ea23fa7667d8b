"""Leaving a mailing list by one press: RFC 8058's POST, else a mail to where the list wants one, else its page.

The POST goes through the same guard as every fetch, over https, without a cookie, and only where a signature that holds
covers the fields that ask for it (RFC 8058 §4): anybody could put an address into a mail that somebody is to press.
What was answered is kept and told; nothing is repeated by itself.

No transaction is open while the list is asked. A crash after the POST leaves no row: the button is there again, and
pressing it again is harmless.

Limits: mail that came before signatures were asked what they cover is left by its mail or its page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.principal import Principal
from apps.events.services import publish
from apps.fetching.errors import FetchFailed
from apps.fetching.fetch import FetchPolicy, post
from apps.mailboxes.models import Mailbox, Message
from apps.mime.address import InvalidAddress, normalise_address
from apps.outbound.submission.submit import Submission, submit_message
from apps.reading.errors import NothingToAnswer
from apps.reading.models import Unsubscription

SECONDS = 10
_ONE_CLICK = b"List-Unsubscribe=One-Click"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_MAX_WORDS = 500


class Way(StrEnum):
    """How a list can be left; `page` is for the person to do."""

    NONE = ""
    POST = "post"
    MAIL = "mail"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Leaving:
    """The best way that a mail offers; `host` is who is asked, `url` the page."""

    way: Way = Way.NONE
    url: str = ""
    host: str = ""


def leaving_of(message: Message) -> Leaving:
    """How the list that a message came by can be left."""
    ways = message.contents.get("unsubscribe")
    if not ways:
        return Leaving()
    host = _host(ways["url"])
    if ways["one_click"] and host and _is_signed(message.authentication):
        return Leaving(Way.POST, ways["url"], host)
    if (mail := _mail_of(ways["mailto"])) is not None:
        return Leaving(Way.MAIL, ways["mailto"], mail[0])
    return Leaving(Way.PAGE, ways["url"], host) if host else Leaving()


def unsubscribe(principal: Principal, mailbox: Mailbox, message: Message, *, now: datetime) -> Unsubscription:
    """Leave the list for a mailbox; what it answered. Raises NothingToAnswer, and what `submit_message` raises."""
    leaving = leaving_of(message)
    failed_because = ""
    match leaving.way:
        case Way.POST:
            failed_because = _post(leaving.url)
        case Way.MAIL:
            _send(principal, mailbox, leaving.url, now)
        case _:
            raise NothingToAnswer(_("This mail names no way to leave by one press."))
    row = Unsubscription(
        organisation_id=mailbox.organisation_id,
        mailbox=mailbox,
        message=message,
        way=leaving.way.value,
        failed_because=failed_because,
        user=principal.user,
        asked_at=now,
    )
    _keep(principal, row)
    return row


def _post(url: str) -> str:
    """The code of what went wrong, "" when it was taken."""
    policy = FetchPolicy(
        allowed_networks=settings.FETCH_ALLOWED_NETWORKS, deadline_seconds=SECONDS, only_secure=True
    )
    try:
        status = post(url, _ONE_CLICK, policy, _FORM)
    except FetchFailed as failure:
        return failure.code
    return "" if 200 <= status < 300 else "refused"


def _send(principal: Principal, mailbox: Mailbox, mailto: str, now: datetime) -> None:
    found = _mail_of(mailto)
    if found is None:
        raise NothingToAnswer(_("This mail names no way to leave by one press."))
    address, subject, text = found
    submission = Submission(
        sender=mailbox.address, to=(address,), subject=subject or "unsubscribe", text=text or "unsubscribe"
    )
    submit_message(principal, submission, idempotency_key=None, now=now)


@transaction.atomic
def _keep(principal: Principal, row: Unsubscription) -> None:
    """In place of what was tried before."""
    Unsubscription.objects.filter(mailbox=row.mailbox, message=row.message).delete()
    row.save(force_insert=True)
    publish(
        row.organisation_id,
        "list.not_left" if row.failed_because else "list.left",
        message_id=row.message_id,
        actor=principal.actor,
        way=row.way,
        failed_because=row.failed_because,
    )


def _mail_of(mailto: str) -> tuple[str, str, str] | None:
    """RFC 6068: address, subject and text of a mailto; None where it names no single address."""
    try:
        parts = urlsplit(mailto)
        address = normalise_address(unquote(parts.path))
    except (ValueError, InvalidAddress):
        return None
    asked = {name.lower(): values[0][:_MAX_WORDS] for name, values in parse_qs(parts.query).items()}
    subject = " ".join(asked.get("subject", "").split())
    return address, subject, asked.get("body", "")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_signed(found: Mapping[str, Any] | None) -> bool:
    signatures = (found or {}).get("dkim", {}).get("signatures", [])
    return any(one.get("covers_unsubscribe") for one in signatures)
