"""Take an operator's word that a domain is an organisation's."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.mailboxes.domains import mark_verified, normalise_domain
from apps.mailboxes.errors import DomainError
from apps.mailboxes.models import Domain


class Command(BaseCommand):
    help = "Let an organisation send from a domain it has added, without a DNS record that proves it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="such as example.org")
        parser.add_argument("--organisation", help="its id or name, where several have added the domain")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            domain = _claim_of(normalise_domain(options["name"]), options["organisation"])
            changed = mark_verified(domain, timezone.now(), because="operator", actor="operator")
        except DomainError as error:
            raise CommandError(str(error)) from error
        state = "is verified now" if changed else "was verified already"
        self.stdout.write(f"{domain.name} of {domain.organisation.name} {state}.")


def _claim_of(name: str, organisation: str | None) -> Domain:
    claims = [
        claim
        for claim in Domain.objects.select_related("organisation").filter(name=name)
        if organisation in (None, str(claim.organisation_id), claim.organisation.name)
    ]
    if not claims:
        raise CommandError(f"No organisation has added {name}.")
    if len(claims) > 1:
        owners = ", ".join(f"{claim.organisation.name} ({claim.organisation_id})" for claim in claims)
        raise CommandError(f"Several have added {name}; choose with --organisation: {owners}")
    return claims[0]
