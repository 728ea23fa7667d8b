"""How errors look: RFC 9457 with our `code` and `errors`."""

from typing import Any

from rest_framework import serializers

from apps.api.fields import FreelyNamed


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField(
        help_text="A path into the request: `to[1]`, `attachments[0].content`, `body`."
    )
    code = serializers.CharField()
    detail = serializers.CharField()


class QuotaSerializer(serializers.Serializer[Any]):
    of = serializers.CharField(help_text="`organisation`, `person` or `key`.")
    limit = serializers.IntegerField(help_text="Recipients in any 24 hours.")
    used = serializers.IntegerField()
    frees_at = serializers.DateTimeField(help_text="When as many as were asked for fit again.")


class ProblemSerializer(FreelyNamed):
    """An error. Branch on `code`; `detail` is for people."""

    type = serializers.CharField(help_text="Always `about:blank`: the status says what kind of error it is.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    errors_ = FieldErrorSerializer(many=True, help_text="Empty unless fields of the request are wrong.")
    kept_as = serializers.UUIDField(
        required=False,
        help_text="The id under which a refused submission waits in the error queue to be mended.",
    )
    quota = QuotaSerializer(required=False, help_text="With `quota_reached`: which one.")
