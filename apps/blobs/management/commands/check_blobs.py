"""Compare the rows about bytes with the objects in S3, and mend what can be mended. Safe beside a running platform."""

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.reconcile import ListingUnordered, Reconciliation, Trouble

OPEN, UNDECIDED = 1, 2


class Command(BaseCommand):
    help = (
        "Reconcile rows and objects: tells each thing that is missing, damaged or nobody's, one to a line. "
        "Exit code 0: nothing is left to do; 1: something is; 2: the store did not answer to the end."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="mend what can be mended")
        parser.add_argument("--deep", action="store_true", help="read all bytes and compare their hashes")

    def handle(self, *args: Any, repair: bool, deep: bool, **options: Any) -> None:
        found, mended, is_open = Counter[Trouble](), Counter[Trouble](), False
        try:
            for finding in Reconciliation(timezone.now(), deep=deep, repair=repair).findings():
                found[finding.trouble] += 1
                mended[finding.trouble] += finding.mended
                is_open |= finding.is_open
                self.stdout.write(f"{finding.trouble} {finding.name}{' (mended)' if finding.mended else ''}")
        except (ObjectStoreUnavailable, ListingUnordered) as error:
            self.stderr.write(f"The store did not answer to the end: {error}")
            raise SystemExit(UNDECIDED) from error
        told = ", ".join(f"{one}: {found[one]} ({mended[one]} mended)" for one in Trouble if found[one])
        self.stdout.write(told or "Every row has its bytes, and every object its row.")
        if is_open:
            raise SystemExit(OPEN)
