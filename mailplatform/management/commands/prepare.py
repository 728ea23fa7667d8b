"""Bring the stores to what the processes expect: the database's tables, the object store's bucket."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.blobs.errors import ObjectStoreUnavailable
from apps.blobs.object_store import object_store


class Command(BaseCommand):
    help = "Migrate the database and make the bucket where it is missing. Safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, stdout=self.stdout)
        try:
            object_store().ensure_bucket()
        except ObjectStoreUnavailable as error:
            raise CommandError(f"S3_BUCKET: the bucket cannot be had: {error}") from error
