"""The tenant. Every row of every room carries its organisation, and every question is asked within one."""

import os
import uuid
from typing import Any

import uuid_utils
import uuid_utils.compat
from django.db import models

# Two children of one process would otherwise make the same ids.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562 §5.7): public, unguessable, and in order of making, so that indexes grow at one end."""
    return uuid_utils.compat.uuid7()


class Organisation(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class TenantRow(models.Model):
    """What all rows below have in common: a public id and the organisation they belong to."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation: "models.ForeignKey[Any, Organisation]" = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+"
    )

    class Meta:
        abstract = True
