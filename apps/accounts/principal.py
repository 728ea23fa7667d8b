"""Who is asking: a person in the browser or a mail program, a program with a key, or a rule of ours, as the rooms below
see them.

Selectors and services take a `Principal` and never a request, so that the browser, the REST API and the
submission port are held to the same rules.
"""

import uuid
from dataclasses import dataclass

from apps.accounts.models import ApiKey, Role, User


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller. `sees_everything` is true only for an organisation's own key with the admin role, and for a room that
    acts by a rule which an admin set (`room` is its name; no request ever makes such a principal).

    With `only_mailbox_id` nothing but that mailbox is seen and used: by the mail program of `user`, or by a device of
    the mailbox itself.
    """

    organisation_id: uuid.UUID
    role: Role
    user: User | None = None
    api_key: ApiKey | None = None
    room: str = ""
    app_password_id: uuid.UUID | None = None
    only_mailbox_id: uuid.UUID | None = None

    @classmethod
    def of_app_password(
        cls, organisation_id: uuid.UUID, password_id: uuid.UUID, mailbox_id: uuid.UUID, user: User | None
    ) -> "Principal":
        """A mail program with the password of one mailbox: never an admin, whoever made it."""
        return cls(
            organisation_id=organisation_id,
            role=Role.AGENT,
            user=user,
            app_password_id=password_id,
            only_mailbox_id=mailbox_id,
        )

    @classmethod
    def of_user(cls, user: User) -> "Principal":
        return cls(organisation_id=user.organisation_id, role=Role(user.role), user=user)

    @classmethod
    def of_key(cls, key: ApiKey) -> "Principal":
        return cls(organisation_id=key.organisation_id, role=Role(key.role), user=key.user, api_key=key)

    @classmethod
    def of_room(cls, organisation_id: uuid.UUID, room: str) -> "Principal":
        return cls(organisation_id=organisation_id, role=Role.ADMIN, room=room)

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def sees_everything(self) -> bool:
        if self.room:
            return True
        return self.user is None and self.api_key is not None and self.is_admin

    @property
    def is_of_a_mailbox(self) -> bool:
        """Whether it is nobody's but a mailbox's own, as a printer is that sends its scans from there."""
        return self.app_password_id is not None and self.user is None

    @property
    def is_program(self) -> bool:
        """Whether nobody sits there, as far as it can be told: who has a key is a program, whosever key it is, and a
        mail program with a person's password is taken for the person."""
        return self.user is None or self.api_key is not None

    @property
    def actor(self) -> str:
        """A stable name for idempotency keys and event rows: ids only, never an address."""
        if self.api_key is not None:
            return f"key:{self.api_key.pk}"
        if self.user is not None:
            return f"user:{self.user.pk}"
        if self.app_password_id is not None:
            return f"app-password:{self.app_password_id}"
        if self.room:
            return self.room
        msg = "a principal is a user, a key, an app password or a room"
        raise ValueError(msg)
