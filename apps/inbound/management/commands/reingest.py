"""Read received messages again from their raw bytes."""

import sys
import uuid
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError

from apps.blobs.errors import ObjectStoreUnavailable
from apps.inbound.reingest import Choice, Tally, reingest
from apps.mailboxes.models import Direction, Domain, Message
from apps.mailboxes.projection import PROJECTION_VERSION
from apps.organisations.models import Organisation

TOLD_IDS = 20


def moment(text: str) -> datetime:
    """A date, or a date and a time; UTC where no zone is given."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("must be a date such as 2026-03-01") from error
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _organisation(name: str) -> uuid.UUID | None:
    if not name:
        return None
    try:
        found = Organisation.objects.filter(pk=uuid.UUID(name)).first()
    except ValueError:
        domain = Domain.objects.filter(name=name.lower(), verified_at__isnull=False).first()
        found = domain.organisation if domain else None
    if found is None:
        raise CommandError(f"There is no organisation {name!r}.")
    return found.pk


class Command(BaseCommand):
    help = (
        "Read received messages again from the bytes that came, as after an update that reads more. Tickets, "
        "conversations, folders and flags stay as they are. Without options: those whose reading is older than "
        "this version's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--message", type=uuid.UUID, metavar="ID", help="this one")
        parser.add_argument(
            "--organisation", default="", metavar="ID", help="those of one organisation, by id or domain"
        )
        parser.add_argument("--since", type=moment, metavar="DATE", help="those that came since")
        parser.add_argument(
            "--older-than-version",
            type=int,
            nargs="?",
            const=PROJECTION_VERSION,
            metavar="N",
            help=f"only those whose reading is older than N (now {PROJECTION_VERSION})",
        )
        parser.add_argument("--after", type=uuid.UUID, metavar="ID", help="go on after this one")

    def handle(self, *args: Any, **options: Any) -> None:
        choice = self._choice(options)
        tally = Tally(last=choice.after)
        try:
            for tally in reingest(choice):
                sys.stderr.write(f"{tally.done:>9} read again, last {tally.last}\n")
        except (ObjectStoreUnavailable, OperationalError, InterfaceError) as error:
            why = f"A server is away ({type(error).__name__}). What was done is done"
            raise CommandError(f"{why}; go on with --after {tally.last}") from error
        self.stdout.write(f"{tally.done} messages were read again.")
        self._tell("Their bytes are missing (see check_blobs)", tally.missing)
        self._tell("Left as they were, because they could not be read in time", tally.left)

    def _choice(self, options: dict[str, Any]) -> Choice:
        organisation_id = _organisation(options["organisation"])
        received = Message.objects.filter(pk=options["message"], direction=Direction.IN)
        if options["message"] and not received.exists():
            raise CommandError(f"There is no received message {options['message']}.")
        nothing_chosen = not (options["message"] or organisation_id or options["since"])
        return Choice(
            message_id=options["message"],
            organisation_id=organisation_id,
            since=options["since"],
            before_version=options["older_than_version"] or (PROJECTION_VERSION if nothing_chosen else None),
            after=options["after"],
        )

    def _tell(self, what: str, ids: list[uuid.UUID]) -> None:
        if ids:
            told = ", ".join(str(one) for one in ids[:TOLD_IDS])
            more = f" and {len(ids) - TOLD_IDS} more" if len(ids) > TOLD_IDS else ""
            self.stdout.write(f"{what}: {told}{more}")
