"""Limit what all organisations together send: what only the operator may."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q
from django.utils import timezone

from apps.outbound.errors import LimitInvalid
from apps.outbound.limits.services import BOUNDS, set_shared_limit
from apps.outbound.models import EACH, LimitScope, Relay, SendingLimit


class Command(BaseCommand):
    help = (
        "Limit what everybody together sends by a relay (its name or id), a sender, an organisation or to a "
        'destination; "*" is each that has no limit of its own. A bound of 0 takes it away. Without bounds: list.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scope", nargs="?", choices=LimitScope.values)
        parser.add_argument("subject", nargs="?", default=EACH)
        parser.add_argument("--remove", action="store_true", help="bound it by nothing any more")
        for name in BOUNDS:
            parser.add_argument(f"--{name.replace('_', '-')}", type=int)

    def handle(self, *args: Any, scope: str | None, subject: str, remove: bool, **options: Any) -> None:
        if scope is not None:
            subject = self._subject(LimitScope(scope), subject)
            bounds = {name: options[name] or None for name in BOUNDS if options[name] is not None}
            if remove:
                SendingLimit.objects.filter(organisation=None, scope=scope, subject=subject).delete()
            elif bounds:
                try:
                    set_shared_limit(LimitScope(scope), subject, bounds, timezone.now())
                except LimitInvalid as error:
                    raise CommandError(str(error)) from error
        for row in SendingLimit.objects.filter(organisation=None).order_by("scope", "subject"):
            given = [f"{name}={getattr(row, name)}" for name in BOUNDS if getattr(row, name) is not None]
            self.stdout.write(f"{row.scope} {row.subject}: {' '.join(given)}")

    def _subject(self, scope: LimitScope, subject: str) -> str:
        if scope != LimitScope.RELAY or subject == EACH:
            return subject.lower()
        found = list(Relay.objects.filter(Q(name=subject) | Q(host=subject))[:2])
        found = found or [one for one in Relay.objects.all() if str(one.pk) == subject]
        if len(found) != 1:
            known = ", ".join(Relay.objects.values_list("name", flat=True))
            raise CommandError(f"{subject}: name one relay, by its name, host or id. Known: {known}")
        return str(found[0].pk)
