"""Who a message is from and to: every address read, each recipient once, and the road each takes.

An address is strictly one: RFC 5321 §4.5.3.1's lengths, quoted local parts (§4.1.2), international domains in either
form (RFC 5890; kept as A-labels), local parts beyond ASCII (RFC 6531) which only servers with SMTPUTF8 take.

An address is local when a row of this organisation says so, never because its domain looks like ours. What a domain of
ours has no row for exists nowhere: asking a relay for it would bring it back to us.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from apps.accounts.principal import Principal
from apps.mailboxes.addresses import Ours, look_up, sendable_address
from apps.mailboxes.models import Mailbox, OwnedAddress
from apps.mime.address import Address, InvalidAddress, normalise_address, parse_addresses
from apps.mime.clean import clean_line
from apps.outbound.errors import Fault, SubmissionInvalid
from apps.outbound.models import RecipientField, Route
from apps.outbound.submission.asked import Submission
from apps.outbound.submission.faults import Faults

MAX_RECIPIENTS = 1000
MAX_REPLY_TO = 10
MAX_ADDRESS_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address the message goes to, once. `mailbox` is set for an address of ours that somebody owns."""

    address: str
    field: RecipientField
    route: Route
    mailbox: Mailbox | None

    @property
    def exists_nowhere(self) -> bool:
        """Of our own domain, and nobody's."""
        return self.route == Route.LOCAL and self.mailbox is None


@dataclass(frozen=True, slots=True)
class People:
    """Who a message is from and to, checked."""

    sender: Address
    sender_row: OwnedAddress
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    recipients: tuple[Recipient, ...]


def check_people(principal: Principal, submission: Submission) -> People:
    """Read every address. Raises SubmissionInvalid for `from`, `to[1]` and so on, all that are wrong at once."""
    faults, of_recipients = Faults(), Faults()
    sender = faults.of(read_address, "from", submission.sender)
    fields = (("to", submission.to), ("cc", submission.cc), ("bcc", submission.bcc))
    _check_counts(submission, of_recipients)
    lists = {
        name: tuple(
            address
            for n, value in enumerate(written)
            if (address := of_recipients.of(read_address, f"{name}[{n}]", value)) is not None
        )
        for name, written in (*fields, ("reply_to", submission.reply_to))
    }
    given = [(RecipientField(name), one) for name, _written in fields for one in lists[name]]
    ours = look_up(
        principal.organisation_id,
        [normalise_address(one.address) for one in (sender, *(one for _field, one in given)) if one],
    )
    owned = faults.of(check_sender, principal, "from", sender, ours) if sender else None
    faults.of(of_recipients.raise_any)
    faults.raise_any()
    if sender is None or owned is None:
        msg = "a sender was neither accepted nor refused"
        raise AssertionError(msg)
    return People(
        sender=Address(sender.name or owned.mailbox.name, sender.address),
        sender_row=owned,
        recipients=tuple(_take_roads(_each_once(given), ours)),
        **lists,
    )


def check_sender(principal: Principal, field_name: str, sender: Address, ours: Ours) -> OwnedAddress:
    """The address of ours that a caller may send from as `sender`. Raises SubmissionInvalid for `field_name`."""
    row = sendable_address(principal, normalise_address(sender.address), ours)
    if row is None:
        reason = f"You may not send from {sender.address}."
        raise SubmissionInvalid(field_name, reason, Fault.SENDER_NOT_YOURS)
    if not ours.has_domain_of(row.address):
        domain = row.address.rpartition("@")[2]
        reason = f"Nobody has proven yet that {domain} is yours: the page Domains tells an admin how."
        raise SubmissionInvalid(field_name, reason, Fault.SENDER_NOT_YOURS)
    return row


def _check_counts(submission: Submission, faults: Faults) -> None:
    asked = submission.recipients_asked
    if not asked:
        faults.add("to", "A message needs at least one recipient.", Fault.NO_RECIPIENTS)
    if asked > MAX_RECIPIENTS:
        reason = f"A message has at most {MAX_RECIPIENTS:,} recipients; this one has {asked:,}."
        faults.add("to", reason, Fault.TOO_MANY)
    if len(submission.reply_to) > MAX_REPLY_TO:
        faults.add("reply_to", f"Answers go to at most {MAX_REPLY_TO} addresses.", Fault.TOO_MANY)


def read_address(field_name: str, value: str) -> Address:
    """`anna@example.org` or `Anna <anna@example.org>`; exactly one. Raises SubmissionInvalid for `field_name`."""
    if len(value) > MAX_ADDRESS_CHARS:
        raise SubmissionInvalid(
            field_name,
            f"An address has at most {MAX_ADDRESS_CHARS} characters with its name.",
            Fault.ADDRESS_INVALID,
        )
    try:
        if "<" not in value:
            normalise_address(value)
            return Address("", _as_written(value))
        found = parse_addresses(value)
        if len(found) != 1:
            raise SubmissionInvalid(field_name, "Exactly one address is wanted here.", Fault.ADDRESS_INVALID)
        normalise_address(found[0].address)
    except InvalidAddress as error:
        # Quoted, because among a thousand recipients a position is hard to find.
        reason = f"“{clean_line(value, 80)}” is no address: {error}."
        raise SubmissionInvalid(field_name, reason, Fault.ADDRESS_INVALID) from error
    return found[0]


def _as_written(address: str) -> str:
    # RFC 5321 §2.4: the local part belongs to its host and is kept; only the domain has one form.
    local = address.strip(" ").rpartition("@")[0]
    return f"{local}@{normalise_address(address).rpartition('@')[2]}"


def resolve(
    organisation_id: uuid.UUID, given: Iterable[tuple[RecipientField, Address]]
) -> Iterator[Recipient]:
    """Each address once, under the first field that names it, and the road it takes."""
    unique = _each_once(given)
    return _take_roads(unique, look_up(organisation_id, unique))


def _each_once(
    given: Iterable[tuple[RecipientField, Address]],
) -> dict[str, tuple[RecipientField, Address]]:
    unique: dict[str, tuple[RecipientField, Address]] = {}
    for recipient_field, address in given:
        unique.setdefault(normalise_address(address.address), (recipient_field, address))
    return unique


def _take_roads(unique: Mapping[str, tuple[RecipientField, Address]], ours: Ours) -> Iterator[Recipient]:
    for normal, (recipient_field, address) in unique.items():
        mailbox = ours.mailbox_for(normal)
        local = mailbox is not None or ours.has_domain_of(normal)
        yield Recipient(
            address=address.address,
            field=recipient_field,
            route=Route.LOCAL if local else Route.RELAY,
            mailbox=mailbox,
        )
