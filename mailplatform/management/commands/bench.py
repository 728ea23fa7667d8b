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
    help = "Measure the product beside its floors and peers, on a stack of its own, in a quarter of an hour."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--only",
            type=_families,
            default=FAMILIES,
            metavar="NAMES",
            help=f"measure only these, separated by commas: {', '.join(FAMILIES)}",
        )

        parser.add_argument(
            "--messages",
            type=_sizes,
            default=(100_000,),
            metavar="COUNTS",
            help="how many messages the webmail's mailbox has, in thousands' steps; several separated by commas: a "
            "table each (100000,1000000 takes a quarter of an hour)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        given = read_environment()
        if given.database_url or given.redis_url or given.s3_endpoint_url:
            raise CommandError(
                "DATABASE_URL, REDIS_URL or S3_ENDPOINT_URL is set: thousands of mails must not go to servers that "
                "somebody uses; unset them, and the benchmark starts its own"
            )
        try:
            run_bench(settings.DATA_DIR / "bench", options["only"], self._tell, messages=options["messages"])
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


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(one) for one in text.split(","))
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    if any(size < 10_000 or size % 1_000 for size in sizes):
        raise ArgumentTypeError("thousands, and ten of them at least")
    return sizes
