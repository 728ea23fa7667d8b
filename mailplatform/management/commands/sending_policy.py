"""Decide for an organisation what nobody else can decide about its outgoing mail."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.organisations.models import Organisation
from apps.outbound.models import EncryptedArchives, SendingPolicy

QUOTAS = ("recipients_per_day", "recipients_per_day_of_user", "recipients_per_day_of_key")


class Command(BaseCommand):
    help = (
        "Set an organisation's sending policy, and show it. What is not named stays; 0 takes a bound or a second try "
        "away. Without options: show it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", help="its id or name")
        parser.add_argument(
            "--encrypted-archives", choices=EncryptedArchives.values, help="what no scanner can look into"
        )
        parser.add_argument(
            "--uncertain-retry-after", type=_minutes, metavar="MINUTES", help="try once more after so long"
        )
        parser.add_argument(
            "--delay-told-after", type=_minutes, metavar="MINUTES", help="tell the sender of a wait so long"
        )
        for name in QUOTAS:
            parser.add_argument(f"--{name.replace('_', '-')}", type=_number, metavar="RECIPIENTS")

    def handle(self, *args: Any, organisation: str, **options: Any) -> None:
        tenant = named_organisation(organisation)
        changes: dict[str, Any] = {
            name: options[name] or None
            for name in (*QUOTAS, "uncertain_retry_after")
            if options[name] is not None
        }
        changes |= {
            name: options[name] for name in ("encrypted_archives", "delay_told_after") if options[name]
        }
        if changes:
            policy, _made = SendingPolicy.objects.update_or_create(organisation=tenant, defaults=changes)
        else:
            policy = SendingPolicy.objects.filter(pk=tenant.pk).first() or SendingPolicy(organisation=tenant)
        self.stdout.write(f"{tenant.name} ({tenant.pk})")
        for name in ("encrypted_archives", "uncertain_retry_after", "delay_told_after", *QUOTAS):
            value = getattr(policy, name)
            self.stdout.write(f"  {name:<28}{'none' if value is None else value}")


def named_organisation(name: str) -> Organisation:
    """The one of this id or name. Raises CommandError, which tells those there are."""
    found = [one for one in Organisation.objects.order_by("name") if name in (str(one.pk), one.name)]
    if len(found) != 1:
        known = ", ".join(f"{one.name} ({one.pk})" for one in Organisation.objects.order_by("name"))
        raise CommandError(f"{name}: name one organisation, by its id or name. Known: {known}")
    return found[0]


def _number(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text} is no number of 0 or more"
        raise ArgumentTypeError(msg)
    return int(text)


def _minutes(text: str) -> timedelta:
    return timedelta(minutes=_number(text))
