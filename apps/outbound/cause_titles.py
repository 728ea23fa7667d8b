"""Every cause in a few words: the heading over those who wait or failed for it.

A code that is not here is shown as it is written, so that a new cause is never without a name.
"""

from django.utils.translation import gettext_lazy as _

# By code and not by `Cause`: what other rooms, or a newer version's workers, wrote into a row has its words here too.
TITLES = {
    "sending": _("Being sent right now"),
    "undo_window": _("In their undo window"),
    "schedule": _("To be sent later"),
    "waiting_for_worker": _("Waiting for a worker"),
    "relay_unavailable": _("Our relay does not take them"),
    "relay_refused": _("Our relay refuses us"),
    "no_relay_serves": _("No relay serves them"),
    "recipient_unavailable": _("Put off by the recipients’ servers"),
    "store_unavailable": _("The object store does not answer"),
    "worker_stopped": _("A worker was stopped"),
    "worker_lost": _("A worker was lost"),
    "platform_fault": _("A fault of ours"),
    "requested": _("Asked for by a person"),
    "sender_limit": _("Our limit for the sender"),
    "relay_limit": _("Our limit for the relay"),
    "destination_limit": _("Our limit for the recipients’ domain"),
    "provider_limit": _("The provider’s limit"),
    "organisation_limit": _("Our own limit"),
    "limits_unknown": _("What our limits still allow is being counted"),
    "greylisted": _("Greylisted: taken on the second try"),
    "mailbox_full": _("The recipients’ mailboxes are full"),
    "reputation_block": _("The provider distrusts our address"),
    "scanner_unavailable": _("The scanner does not answer"),
    "reply_lost": _("Nobody can tell whether they arrived"),
    "uncertain_retried": _("Tried once more after a lost answer"),
    "loop": _("Programs answer each other in circles"),
    "no_such_address": _("Nobody here has this address"),
    "recipient_refused": _("The server refused the recipient"),
    "message_refused": _("The server refused the message"),
    "bytes_missing": _("The message’s bytes are missing"),
    "gave_up": _("Given up"),
    "infected": _("A scanner found a virus"),
    "spam": _("A scanner calls it spam"),
    "policy_attachment": _("A file of a kind that is not sent"),
    "suppressed": _("The address is suppressed"),
    "bounced": _("It bounced"),
    "complained": _("The recipient complained"),
    "cancelled": _("Taken back"),
    "replied": _("Cancelled by an answer"),
    "resolved_by_person": _("Decided by a person"),
}


def title_of(cause: str) -> str:
    """The words for a cause; the code itself where nobody has given it any."""
    return str(TITLES.get(cause) or cause.replace("_", " ").capitalize())
