"""Bring the stores to what the processes expect, then make the demo on an empty database.

`python -m mailplatform.embedded.prepare` is `manage.py prepare` and `manage.py create_demo` in one process, because
loading Django twice costs a quarter of the time that a start takes. A crash at any point is repaired by the next start.
"""

import os

import django
from django.core.management import call_command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailplatform.settings")
    django.setup()
    call_command("prepare")
    call_command("create_demo")


if __name__ == "__main__":
    main()
