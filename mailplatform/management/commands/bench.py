"""The benchmark tables."""

from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.run import FAMILIES, run_bench
from mailplatform.embedded.errors import StackFailed
from mailplatform.environment import read_environment


class Command(BaseCommand):
    help = "Measure the product beside its floors and peers, on a stack of its own, in about five minutes."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only",
            type=_families,
            default=FAMILIES,
            metavar="NAMES",
            help=f"measure only these, separated by commas: {', '.join(FAMILIES)}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = read_environment()
        if given.database_url or given.redis_url or given.s3_endpoint_url:
            raise CommandError(
                "DATABASE_URL, REDIS_URL or S3_ENDPOINT_URL is set: thousands of mails must not go to servers that "
                "somebody uses; unset them, and the benchmark starts its own"
            )
        try:
            run_bench(settings.DATA_DIR / "bench", options["only"], self._tell)
        except (BenchFailed, StackFailed) as error:
            raise CommandError(str(error)) from error

    def _tell(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _families(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if unknown := set(names) - set(FAMILIES):
        raise ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    return names
