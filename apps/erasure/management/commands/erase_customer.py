"""Erase everything of a customer, now and to the end. Killed, `schedule` or a second call goes on where it was."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.blobs.discarding import delete_discarded
from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.repacking import repack_some
from apps.erasure.errors import ErasureInvalid
from apps.erasure.models import ErasureState
from apps.erasure.services import erase_as_operator
from apps.erasure.walk import advance
from apps.organisations.models import Organisation

PATIENCE_SECONDS = 120.0
LOOK_AGAIN_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Erase a customer's data by their address. What is left is a line that says how much, and not whose."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address")
        parser.add_argument("--organisation", required=True, help="its id or name")
        parser.add_argument("--yes", action="store_true", help="do not ask to type the address again")

    def handle(self, *args: Any, address: str, organisation: str, yes: bool, **options: Any) -> None:
        owner = _organisation(organisation)
        if not yes and input(f"This cannot be undone. Type {address} again: ").strip() != address:
            raise CommandError("The two are not the same. Nothing was erased.")
        try:
            erasure = erase_as_operator(owner, address, now=timezone.now())
        except ErasureInvalid as error:
            raise CommandError(error.reason) from error
        deadline = time.monotonic() + PATIENCE_SECONDS
        try:
            while erasure.state == ErasureState.RUNNING:
                if advance(erasure):
                    deadline = time.monotonic() + PATIENCE_SECONDS
                elif time.monotonic() > deadline:
                    raise CommandError(
                        "Mail that was accepted earlier is not filed yet; `schedule` goes on when it is."
                    )
                else:
                    # Other processes file it, and tell nobody when that is done.
                    time.sleep(LOOK_AGAIN_SECONDS)
                erasure.refresh_from_db()
            while delete_discarded() + repack_some():
                pass
        except ObjectStoreUnavailable as error:
            raise CommandError("S3 does not answer; `schedule` goes on when it does.") from error
        if erasure.state == ErasureState.FAILED:
            raise CommandError("SECRET_KEY was changed meanwhile; please ask again.")
        told = ", ".join(f"{kind}: {n}" for kind, n in sorted(erasure.counts.items()) if n)
        self.stdout.write(f"Erased ({told or 'nothing was there'}). Fingerprint {erasure.fingerprint}.")


def _organisation(named: str) -> Organisation:
    found = [one for one in Organisation.objects.all() if named in (str(one.pk), one.name)]
    if len(found) != 1:
        raise CommandError(f"{len(found)} organisations are called {named}; give the id.")
    return found[0]
