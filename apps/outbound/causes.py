"""Why a recipient has not got the message yet, or never will: the codes of `Delivery.cause`.

An open list: clients accept codes they do not know. `explain` in `selectors` puts each into a sentence.
"""

from enum import StrEnum


class Cause(StrEnum):
    NONE = ""

    # waiting
    UNDO_WINDOW = "undo_window"
    SCHEDULE = "schedule"
    WAITING_FOR_WORKER = "waiting_for_worker"
    RELAY_UNAVAILABLE = "relay_unavailable"
    RECIPIENT_UNAVAILABLE = "recipient_unavailable"
    STORE_UNAVAILABLE = "store_unavailable"
    WORKER_STOPPED = "worker_stopped"
    WORKER_LOST = "worker_lost"
    PLATFORM_FAULT = "platform_fault"
    REQUESTED = "requested"

    # waiting for a scanner; refused by one
    SCANNER_UNAVAILABLE = "scanner_unavailable"
    INFECTED = "infected"
    SPAM = "spam"
    POLICY_ATTACHMENT = "policy_attachment"
    # waiting: relays
    NO_RELAY_SERVES = "no_relay_serves"
    RELAY_REFUSED = "relay_refused"
    # waiting: limits, ours and theirs
    SENDER_LIMIT = "sender_limit"
    ORGANISATION_LIMIT = "organisation_limit"
    RELAY_LIMIT = "relay_limit"
    DESTINATION_LIMIT = "destination_limit"
    LIMITS_UNKNOWN = "limits_unknown"
    PROVIDER_LIMIT = "provider_limit"
    GREYLISTED = "greylisted"
    MAILBOX_FULL = "mailbox_full"
    REPUTATION_BLOCK = "reputation_block"

    # at rest
    REPLY_LOST = "reply_lost"
    LOOP = "loop"
    NO_SUCH_ADDRESS = "no_such_address"
    RECIPIENT_REFUSED = "recipient_refused"
    MESSAGE_REFUSED = "message_refused"
    BYTES_MISSING = "bytes_missing"
    GAVE_UP = "gave_up"
    CANCELLED = "cancelled"
    RESOLVED_BY_PERSON = "resolved_by_person"

    # wished for, or asked of us by the queue itself
    REPLIED = "replied"
    UNCERTAIN_RETRIED = "uncertain_retried"

    # what the world said afterwards
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
