"""App passwords, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField


class NewAppPasswordSerializer(StrictSerializer):
    """For which program or device, to send from which mailbox."""

    mailbox = serializers.UUIDField(help_text="The mailbox it opens, for sending alone.")
    name = TextField(max_length=100, help_text="The program or device, so that you know it again.")


class AppPasswordSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    mailbox = serializers.UUIDField(source="mailbox_id")
    username = serializers.CharField(source="mailbox.address", help_text="What to sign in as.")
    user = serializers.UUIDField(
        source="user_id", allow_null=True, help_text="Whose it is; null for the mailbox's own."
    )
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)
    last_used_from = serializers.CharField(allow_null=True, help_text="The network address it came from.")


class CreatedAppPasswordSerializer(AppPasswordSerializer):
    """With the password, which is shown this once."""

    password = serializers.CharField()
