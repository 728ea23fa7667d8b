"""Bring the database to what the processes expect: migrations, then the demo on an empty one.

`python -m mailplatform.embedded.prepare` is `manage.py migrate` and `manage.py create_demo` in one process, because
loading Django twice costs a quarter of the time that a start takes. A crash at any point is repaired by the next start.
"""

import os

import django
from django.core.management import call_command


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailplatform.settings")
    django.setup()
    call_command("migrate", interactive=False)
    call_command("create_demo")


if __name__ == "__main__":
    main()
