"""Finds what nobody was told of: pushes whose wake-up was lost, whose worker died, whose time to try again has come,
and those that have waited for three days. Every step is safe to repeat and to be killed in.
"""

from django.utils import timezone

from apps.webhooks.queue import PUSH, give_up_old, is_anything_due, recover_lapsed


def sweep_webhooks() -> int:
    """One round; how many pushes it recovered or gave up."""
    done = recover_lapsed() + give_up_old(timezone.now())
    if is_anything_due():
        PUSH.call()
    return done
