"""Where the sender's own copy lies once recipients were taken back: in the caller's transaction.

Of what is taken back wholly the copy goes to the Trash, as something that was never sent; of what has gone to some, it
lies in Sent. While somebody still waits it stays where it is.
"""

import uuid
from collections.abc import Collection

from apps.mailboxes.models import Folder, Message
from apps.mailboxes.services import move_sender_copy
from apps.outbound.models import WAITING, DeliveryState


def put_senders_copy_away(message_ids: Collection[uuid.UUID]) -> None:
    """After some of these messages' recipients were cancelled."""
    for message in Message.objects.filter(pk__in=message_ids).order_by("pk"):
        states = set(message.deliveries.order_by().values_list("state", flat=True).distinct())
        if states == {DeliveryState.CANCELLED}:
            move_sender_copy(message, Folder.TRASH)
        elif not states & set(WAITING):
            move_sender_copy(message, Folder.SENT)
