"""What a mailbox has done about messages already: the invitations it answered, the lists it left."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from apps.mailboxes.models import Mailbox, Message
from apps.outbound.models import DeliveryState
from apps.reading.models import Attendance, InvitationAnswer, Unsubscription


@dataclass(frozen=True, slots=True)
class Done:
    answer: Attendance | None = None
    unsubscription: Unsubscription | None = None


def done_with(mailbox: Mailbox, messages: Collection[Message]) -> Mapping[uuid.UUID, Done]:
    """By message, for those about which something can be done; in two queries at most."""
    invited = [one for one in messages if one.contents.get("invitation")]
    listed = [one for one in messages if one.contents.get("unsubscribe")]
    answers = (
        {
            one.message_id: Attendance(one.answer)
            for one in InvitationAnswer.objects.filter(mailbox=mailbox, message__in=invited).select_related(
                "reply"
            )
            # Taken back in time, it was never given.
            if one.reply is None or one.reply.state != DeliveryState.CANCELLED
        }
        if invited
        else {}
    )
    left = (
        {one.message_id: one for one in Unsubscription.objects.filter(mailbox=mailbox, message__in=listed)}
        if listed
        else {}
    )
    return {one.pk: Done(answers.get(one.pk), left.get(one.pk)) for one in messages}
