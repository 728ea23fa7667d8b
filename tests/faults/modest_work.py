"""`manage.py work` with a dozen places instead of hundreds: what a killed one leaves uncertain is then a handful."""

from functools import partial

import django

if __name__ == "__main__":
    django.setup()

    from django.core.management import call_command

    from apps.outbound import actors
    from apps.outbound.draining.drain import Drain, DrainPolicy

    setattr(actors, "Drain", partial(Drain, policy=DrainPolicy(in_flight=12, claims=12)))  # noqa: B010
    call_command("work")
