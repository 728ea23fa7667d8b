"""Bring the stores to what the processes expect, then make the demo on an empty database.

`python -m mailplatform.embedded.prepare` is `manage.py prepare` and `manage.py create_demo` in one process, because
loading Django twice costs a quarter of the time that a start takes. It runs while the embedded S3 is still starting,
which takes longer and makes its bucket itself; an outside one must have its bucket now. A crash at any point is
repaired by the next start.
"""

import os

import django
from django.core.management import call_command

from mailplatform.environment import read_environment


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailplatform.settings")
    django.setup()
    if read_environment().s3_endpoint_url:
        call_command("prepare")
    else:
        call_command("migrate", interactive=False)
    call_command("create_demo")


if __name__ == "__main__":
    main()
