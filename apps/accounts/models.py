"""People, their roles, and the keys of programs."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.organisations.models import Organisation, TenantRow

KEY_PREFIX = "mp_"
LAST_USED_RESOLUTION = timedelta(minutes=1)


class Role(models.TextChoices):
    ADMIN = "admin", _("Admin")
    AGENT = "agent", _("Agent")


class UserManager(BaseUserManager["User"]):
    def create_user(
        self, *, organisation: Organisation, email: str, name: str, password: str, role: Role = Role.AGENT
    ) -> "User":
        user = self.model(organisation=organisation, email=email.lower(), name=name, role=role)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(TenantRow, AbstractBaseUser):
    """A person who answers mail. Signs in with an e-mail address, which is unique on the whole platform."""

    email = models.EmailField(unique=True, max_length=254)
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.AGENT)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = UserManager()

    def __str__(self) -> str:
        return self.email

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def initials(self) -> str:
        words = self.name.split() or [self.email]
        return (words[0][:1] + (words[-1][:1] if len(words) > 1 else words[0][1:2])).upper()


class ApiKey(TenantRow):
    """A program's key. Only its hash is kept: 256 random bits need no slow hash, and none can be read back.

    With a `user` the key sees what that person sees; without one it acts for the whole organisation in `role`.
    """

    name = models.CharField(max_length=200)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="api_keys")
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.AGENT)
    hint = models.CharField(max_length=12, help_text="The key's first characters, to recognise it by")
    digest = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @staticmethod
    def digest_of(secret: str) -> bytes:
        return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()

    @staticmethod
    def generate_secret() -> str:
        return KEY_PREFIX + secrets.token_urlsafe(32)

    def used_recently(self, now: datetime) -> bool:
        return self.last_used_at is not None and now - self.last_used_at < LAST_USED_RESOLUTION


class Preferences(TenantRow):
    """How one person likes to work. Who has chosen nothing has no row: the defaults are where they are used."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="preferences")
    keys = models.JSONField(
        default=dict, help_text=_("Command to key, where the person chose another one; an empty key is none")
    )
    single_keys = models.BooleanField(
        default=True, help_text=_("Whether keys without Ctrl do anything (WCAG 2.1.4)")
    )

    def __str__(self) -> str:
        return f"preferences of {self.user_id}"
