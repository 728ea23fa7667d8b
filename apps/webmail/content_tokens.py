"""Tokens for the content origin, which has no cookies: each names one thing of one message, and one person.

A token is a signed claim and no permission: at every fetch the person's access is checked anew. It lasts at least half
an hour and at most an hour; the end is rounded to the half hour, so that a refreshed page carries the same addresses
and a frame that is already shown is not loaded again.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.core import signing
from django.urls import reverse

from apps.accounts.principal import Principal
from apps.mailboxes.models import Message

HALF_HOUR_SECONDS = 1800


class ContentKind(StrEnum):
    """What a token opens; also the name of the URL that serves it. A token for one kind opens no other."""

    BODY = "body"
    ENCLOSED = "enclosed"
    INLINE = "inline"
    ATTACHMENT = "attachment"
    THUMBNAIL = "thumbnail"
    ARCHIVE = "archive"
    ORIGINAL = "original"
    REMOTE = "remote"
    PAGE = "page"
    PRINT = "print"


class TokenInvalid(Exception):
    """Forged, damaged, of another kind, or too old."""


@dataclass(frozen=True, slots=True)
class ContentClaim:
    """One message, and one part of it where `n` is not 0."""

    message_id: uuid.UUID
    user_id: uuid.UUID
    n: int = 0


def content_url(kind: ContentKind, claim: ContentClaim, now: datetime) -> str:
    """An address on the content origin."""
    expires = (int(now.timestamp()) // HALF_HOUR_SECONDS + 2) * HALF_HOUR_SECONDS
    fields = [claim.message_id.hex, claim.user_id.hex, claim.n, expires]
    token = _signer(kind).sign_object(fields)
    path = reverse(kind, kwargs={"token": token}, urlconf=settings.CONTENT_URLCONF)
    return f"{settings.CONTENT_ORIGIN}{path}"


def read_token(kind: ContentKind, token: str, now: datetime) -> ContentClaim:
    """What a token claims. Raises TokenInvalid."""
    try:
        message_id, user_id, n, expires = _signer(kind).unsign_object(token)
        if now.timestamp() >= expires:
            raise TokenInvalid("expired")
        return ContentClaim(uuid.UUID(message_id), uuid.UUID(user_id), int(n))
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise TokenInvalid(str(error)) from error


def _signer(kind: ContentKind) -> signing.Signer:
    return signing.Signer(salt=f"webmail.content.{kind}")


def remote_url(claim: ContentClaim, url: str, now: datetime) -> str:
    """An address on the content origin for a picture elsewhere, which a message shows. Only we can make one, so the
    proxy serves no stranger's wishes."""
    expires = (int(now.timestamp()) // HALF_HOUR_SECONDS + 2) * HALF_HOUR_SECONDS
    fields = [claim.message_id.hex, claim.user_id.hex, expires, url]
    token = _signer(ContentKind.REMOTE).sign_object(fields, compress=True)
    path = reverse(ContentKind.REMOTE, kwargs={"token": token}, urlconf=settings.CONTENT_URLCONF)
    return f"{settings.CONTENT_ORIGIN}{path}"


def read_remote_token(token: str, now: datetime) -> tuple[ContentClaim, str]:
    """What such a token claims, and the address elsewhere. Raises TokenInvalid."""
    try:
        message_id, user_id, expires, url = _signer(ContentKind.REMOTE).unsign_object(token)
        if now.timestamp() >= expires:
            raise TokenInvalid("expired")
        return ContentClaim(uuid.UUID(message_id), uuid.UUID(user_id)), str(url)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise TokenInvalid(str(error)) from error


def content_url_for(
    principal: Principal, kind: ContentKind, message: Message, now: datetime, n: int = 0
) -> str:
    if principal.user is None:
        msg = "content tokens are for people"
        raise ValueError(msg)
    return content_url(kind, ContentClaim(message.pk, principal.user.pk, n), now)
