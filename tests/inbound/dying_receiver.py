"""A receive process that dies by SIGKILL at a named point of its first submission. Run by tests, over their database.

python -m tests.inbound.dying_receiver committing|committed
"""

import os
import sys

import django


def main(point: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mailplatform.settings"  # noqa: TID251
    django.setup()
    from django.core.management import call_command

    from apps.inbound import submission
    from apps.outbound.submission import submit
    from tests.inbound.dying_worker import die_after

    # committing: everything written, nothing committed. committed: all but the 250.
    place, name = (submit, "note_answer") if point == "committing" else (submission, "submit_raw")
    setattr(place, name, die_after(getattr(place, name)))
    call_command("receive")


if __name__ == "__main__":
    main(sys.argv[1])
