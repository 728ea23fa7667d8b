"""Run a command while no object is deleted from S3: a backup of the database and, after it, of the bucket."""

import argparse
import subprocess
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.blobs.keeping import KeepingLost, keeping_objects


class Command(BaseCommand):
    help = "Run a command, such as a backup's, while nothing is deleted from S3. Its exit code is ours."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")

    def handle(self, *args: Any, command: list[str], **options: Any) -> None:
        words = command[1:] if command[:1] == ["--"] else command
        if not words:
            raise CommandError("Which command? Give it after --.")
        try:
            with keeping_objects():
                code = subprocess.run(words, check=False).returncode
        except KeepingLost as lost:
            raise CommandError("PostgreSQL was away meanwhile; please make the copy again.") from lost
        except OSError as error:
            raise CommandError(str(error)) from error
        if code:
            raise SystemExit(code)
