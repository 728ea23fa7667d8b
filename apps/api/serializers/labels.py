"""Labels, as they are asked for and as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import StrictSerializer, TextField
from apps.mailboxes.models import LabelColour
from apps.mailboxes.models.handled import MAX_LABEL_CHARS


class NewLabelSerializer(StrictSerializer):
    name = TextField(max_length=MAX_LABEL_CHARS)
    colour = serializers.ChoiceField(
        choices=LabelColour.choices, required=False, default="", help_text="Without one, the next in turn."
    )


class LabelChangeSerializer(StrictSerializer):
    """What to change; what is not named stays."""

    name = TextField(max_length=MAX_LABEL_CHARS, required=False)
    colour = serializers.ChoiceField(choices=LabelColour.choices, required=False)


class PutLabelSerializer(StrictSerializer):
    """A label by its id, or by a name, of which one is made where there is none."""

    id = serializers.UUIDField(required=False)
    name = TextField(max_length=MAX_LABEL_CHARS, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError({"id": "Give the label’s id, or a name."})
        return attrs


class LabelSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    colour = serializers.ChoiceField(choices=LabelColour.choices)


class LabelsSerializer(serializers.Serializer[Any]):
    """All of them: an organisation has at most 500."""

    results = LabelSerializer(many=True)
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
