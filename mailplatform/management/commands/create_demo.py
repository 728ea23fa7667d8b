"""Make the demo organisation on an empty database."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from mailplatform.demo import create_demo, write_demo_json


class Command(BaseCommand):
    help = "On an empty database: make the demo organisation and write demo.json. Otherwise do nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.DATA_DIR) / "demo.json"
        # The file is written inside the transaction: people whose passwords nobody knows are worse than none.
        with transaction.atomic():
            made = create_demo()
            if made is None:
                self.stdout.write("There is an organisation already; nothing was made.")
                return
            demo, outsider = made
            write_demo_json(
                path,
                demo,
                outsider,
                web=settings.WEB_ORIGIN,
                smtp=f"{settings.SMTP_HOST}:{settings.SMTP_PORT}",
                submission=f"{settings.SMTP_HOST}:{settings.SUBMISSION_PORT}",
                sink=f"127.0.0.1:{settings.SINK_PORT}",
            )
        self.stdout.write(f"The demo organisation is made; how to sign in is in {path}")
