"""The plan of a message that a mail program wrote: its own bytes, an envelope of its own, the same rules.

The message goes out as it was given but for what `mime.sendable` mends. Whoever the envelope names gets it, whatever
its header says; those the header does not name are its Bcc. From, Sender and the return path must be addresses the
caller may send from: nobody becomes somebody else by writing it (RFC 6409 §6.1, §8.1). The return path itself is ours
in any case, one for each recipient, so that a bounce finds its delivery.

What says of itself that it went to many (`Precedence`) takes the slow lane.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from apps.accounts.principal import Principal
from apps.mailboxes.addresses import look_up
from apps.mailboxes.loops import turn_after
from apps.mailboxes.models import OwnedAddress
from apps.mailboxes.projection import prepare
from apps.mailboxes.quoted import known_by_id
from apps.mailboxes.threads import MAX_QUOTED
from apps.mime.address import Address, comparable_address, normalise_address
from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.sendable import Sendable, Unsendable, make_sendable
from apps.outbound.errors import Fault, SubmissionInvalid
from apps.outbound.models import Lane, RecipientField
from apps.outbound.submission.ancestry import Ancestry, ancestry_of
from apps.outbound.submission.faults import Faults
from apps.outbound.submission.planning import Plan, new_message_id, signature_on, verdict_on
from apps.outbound.submission.quotas import check_quota
from apps.outbound.submission.recipients import (
    MAX_RECIPIENTS,
    People,
    check_sender,
    read_address,
    resolve,
)
from apps.outbound.submission.validation import MAX_ATTACHMENTS, MAX_MESSAGE_BYTES, too_large
from apps.outbound.wire.payload import with_wire_line_ends

_FROM = "headers.From"
_TO_MANY = frozenset(("bulk", "list", "junk"))
_ROOM_FOR_FIELDS = 1024  # what `make_sendable` may add


@dataclass(frozen=True, slots=True)
class GivenEnvelope:
    """What was said before the message: its return path, "" for the null one, and everybody it is for."""

    sender: str
    recipients: tuple[str, ...]


def plan_given(principal: Principal, envelope: GivenEnvelope, raw: bytes, now: datetime) -> Plan:
    """Raises SubmissionInvalid, whose fields are `mail_from`, `rcpt[n]`, `message` and `headers.…`; QuotaReached; and
    ObjectStoreUnavailable."""
    quotas = check_quota(principal, len(envelope.recipients), now)
    given = _recipients(envelope)
    sendable = _sendable(principal.organisation_id, raw, now)
    author = _check_author(principal, envelope, sendable)
    prepared = prepare(sendable.raw)
    if len(prepared.parts) > MAX_ATTACHMENTS:
        raise SubmissionInvalid("message", f"It has more than {MAX_ATTACHMENTS} files.", Fault.TOO_MANY)
    people = _people(sendable, author, prepared.parsed, given)
    ancestry = _ancestry(principal, prepared.parsed)
    says_so = prepared.parsed.kind == MessageKind.AUTO_REPLY
    return Plan(
        people=people,
        prepared=prepared,
        lane=_lane(prepared.parsed),
        due_at=now,
        quotas=quotas,
        verdict=verdict_on(principal, people, sendable.raw),
        signature=signature_on(people, sendable.raw, now, now),
        thread=ancestry.thread,
        answers=ancestry.answers,
        turn=turn_after(ancestry.answers, now, by_machine=principal.is_program or says_so),
    )


def check_return_path(principal: Principal, sender: str) -> None:
    """Whether a caller may give this return path. The null one is nobody's: read receipts have it (RFC 8098 §3).

    Raises SubmissionInvalid.
    """
    if sender:
        _check_owned(principal, [("mail_from", sender)])


def check_recipient(principal: Principal, address: str) -> None:
    """Whether a message may be for this address: anybody's, but not one of our own domain that nobody has.

    Raises SubmissionInvalid.
    """
    read = read_address("rcpt", address)
    found = next(resolve(principal.organisation_id, [(RecipientField.TO, read)]))
    if found.exists_nowhere:
        raise SubmissionInvalid(
            "rcpt", f"Nobody here has the address {found.address}.", Fault.NO_SUCH_ADDRESS
        )


def _recipients(envelope: GivenEnvelope) -> list[Address]:
    if not envelope.recipients:
        raise SubmissionInvalid("rcpt", "A message needs at least one recipient.", Fault.NO_RECIPIENTS)
    if len(envelope.recipients) > MAX_RECIPIENTS:
        reason = (
            f"A message has at most {MAX_RECIPIENTS:,} recipients; this one has {len(envelope.recipients):,}."
        )
        raise SubmissionInvalid("rcpt", reason, Fault.TOO_MANY)
    return [read_address(f"rcpt[{n}]", one) for n, one in enumerate(envelope.recipients)]


def _sendable(organisation_id: uuid.UUID, raw: bytes, now: datetime) -> Sendable:
    lines = with_wire_line_ends(raw)
    if len(lines) + _ROOM_FOR_FIELDS > MAX_MESSAGE_BYTES:
        raise SubmissionInvalid("message", too_large(len(lines)), Fault.TOO_LARGE)
    try:
        return make_sendable(lines, message_id_of=partial(_message_id, organisation_id), date=now)
    except Unsendable as error:
        field = error.field if error.field == "message" else f"headers.{error.field}"
        raise SubmissionInvalid(field, f"{error.reason}.", Fault.HEADER_INVALID) from error


def _message_id(organisation_id: uuid.UUID, author: Address) -> str:
    return new_message_id(organisation_id, read_address(_FROM, author.address).address)


def _check_owned(principal: Principal, written: list[tuple[str, str]]) -> list[OwnedAddress]:
    """The rows of these addresses, by field. Raises SubmissionInvalid for all the caller may not send from."""
    faults = Faults()
    read = [(field, faults.of(read_address, field, address)) for field, address in written]
    faults.raise_any()
    found = [(field, address) for field, address in read if address is not None]
    ours = look_up(principal.organisation_id, [normalise_address(address.address) for _f, address in found])
    rows = [faults.of(check_sender, principal, field, address, ours) for field, address in found]
    faults.raise_any()
    return [row for row in rows if row is not None]


def _check_author(principal: Principal, envelope: GivenEnvelope, sendable: Sendable) -> OwnedAddress:
    """The row of From. Raises SubmissionInvalid where it, Sender or the return path is not the caller's."""
    written = [(_FROM, sendable.author.address)]
    written += [("headers.Sender", sendable.sender.address)] if sendable.sender is not None else []
    written += [("mail_from", envelope.sender)] if envelope.sender else []
    return _check_owned(principal, written)[0]


def _people(sendable: Sendable, author: OwnedAddress, parsed: ParsedMessage, given: list[Address]) -> People:
    named = {comparable_address(one.address): RecipientField.CC for one in parsed.cc}
    named |= {comparable_address(one.address): RecipientField.TO for one in parsed.to}
    by_field = [(named.get(normalise_address(one.address), RecipientField.BCC), one) for one in given]
    recipients = tuple(resolve(author.organisation_id, by_field))
    return People(
        sender=sendable.author,
        sender_row=author,
        to=parsed.to,
        cc=parsed.cc,
        bcc=tuple(Address("", one.address) for one in recipients if one.field == RecipientField.BCC),
        reply_to=parsed.reply_to,
        recipients=recipients,
    )


def _ancestry(principal: Principal, parsed: ParsedMessage) -> Ancestry:
    """What it answers, in its own words: one of ours may answer any message we know, as over REST."""
    named = [*parsed.in_reply_to, *reversed(parsed.references)][:MAX_QUOTED]
    known = known_by_id(principal.organisation_id, named)
    nearest = next((known[one] for one in named if one in known), None)
    return ancestry_of(nearest) if nearest is not None else Ancestry()


def _lane(parsed: ParsedMessage) -> Lane:
    precedence = dict(parsed.handling).get("precedence", "")
    return Lane.BULK if precedence.lower() in _TO_MANY else Lane.INTERACTIVE
