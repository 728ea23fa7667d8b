"""Decide for an organisation what becomes of doubtful mail on its way in."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apps.tickets.receiving_policy import WISHES, receiving_policy_of, set_receiving_policy
from mailplatform.management.commands.sending_policy import named_organisation

ABOUT = {
    "forbidden_files": "programs, scripts, macros that run by themselves",
    "locked_archives": "what no scanner can look into",
    "spam": "what rspamd, or the filter that learns from marks, takes for spam",
    "dmarc": "what fails DMARC, where its domain asks for something to be done",
}


class Command(BaseCommand):
    help = (
        "Set what an organisation has held of received mail, and show it. What is not named stays; without options: "
        "show it. Mail with a virus is always held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", help="its id or name")
        for name, choices in WISHES.items():
            parser.add_argument(f"--{name.replace('_', '-')}", choices=choices.values, help=ABOUT[name])

    def handle(self, *args: Any, organisation: str, **options: Any) -> None:
        tenant = named_organisation(organisation)
        if wishes := {name: options[name] for name in WISHES if options[name]}:
            policy = set_receiving_policy(tenant.pk, wishes, actor="operator")
        else:
            policy = receiving_policy_of(tenant.pk)
        self.stdout.write(f"{tenant.name} ({tenant.pk})")
        for name in WISHES:
            self.stdout.write(f"  {name:<18}{getattr(policy, name)}")
