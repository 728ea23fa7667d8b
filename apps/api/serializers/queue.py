"""The queue's figures and the error queue, as they are answered."""

from typing import Any

from rest_framework import serializers

from apps.api.serializers.messages import DeliverySerializer
