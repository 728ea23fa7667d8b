"""Decide for an organisation what becomes of doubtful mail on its way in."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.tickets.models import DmarcWish, ForbiddenFiles, LockedArchives, ReceivingPolicy, SpamWish
from mailplatform.management.commands.sending_policy import named_organisation

WISHES = {
    "forbidden_files": (ForbiddenFiles, "programs, scripts, macros that run by themselves"),
    "locked_archives": (LockedArchives, "what no scanner can look into"),
    "spam": (SpamWish, "what rspamd, or the filter that learns from marks, takes for spam"),
    "dmarc": (DmarcWish, "what fails DMARC, where its domain asks for something to be done"),
}


class Command(BaseCommand):
    help = (
        "Set what an organisation has held of received mail, and show it. What is not named stays; without options: "
        "show it. Mail with a virus is always held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", help="its id or name")
        for name, (choices, what) in WISHES.items():
            parser.add_argument(f"--{name.replace('_', '-')}", choices=choices.values, help=what)

    def handle(self, *args: Any, organisation: str, **options: Any) -> None:
        tenant = named_organisation(organisation)
        changes = {name: options[name] for name in WISHES if options[name]}
        if changes:
            policy, _made = ReceivingPolicy.objects.update_or_create(organisation=tenant, defaults=changes)
        else:
            known = ReceivingPolicy.objects.filter(pk=tenant.pk).first()
            policy = known or ReceivingPolicy(organisation=tenant)
        self.stdout.write(f"{tenant.name} ({tenant.pk})")
        for name in WISHES:
            self.stdout.write(f"  {name:<18}{getattr(policy, name)}")
