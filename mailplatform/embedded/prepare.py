"""Bring the stores to what the processes expect, then make the demo on an empty database.

`python -m mailplatform.embedded.prepare` is `manage.py migrate` and `manage.py create_demo` in one process, because
loading Django twice costs a quarter of the time that a start takes. The embedded object store makes its own bucket when
it is up, which may be later than this runs; an outside one is asked for it here, as by `manage.py prepare`. A crash at
any point is repaired by the next start.
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
