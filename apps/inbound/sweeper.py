"""Find accepted mail whose wake-up was lost, whose worker died, or whose time to try again has come.

A wake-up of ours that no worker has answered yet is not repeated for a while: with every worker away, one a second
would pile up in Redis for as long as that lasts.
"""

from apps.events.calls import may_call
from apps.inbound.ingest import due_ids
from apps.inbound.wakeups import CALL, wake_worker


def sweep_received() -> int:
    """Wake a worker when mail is due.

    Answers 0 whatever it finds, for a clock asks again at once after "something": nobody has woken by then.
    """
    for received_id in due_ids(1):
        if may_call(CALL):
            wake_worker(received_id)
    return 0
