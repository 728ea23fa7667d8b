import django.db.models.deletion
from django.db import migrations, models

import apps.organisations.models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0005_existing_domains_count_as_proven"),
        ("organisations", "0001_initial"),
        ("outbound", "0008_keep_what_was_refused"),
    ]

    operations = [
        migrations.CreateModel(
            name="MessageSignature",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="mailboxes.message",
                    ),
                ),
                ("fields", models.BinaryField()),
                (
                    "selectors",
                    models.CharField(
                        help_text="Separated by spaces, in the order of the fields", max_length=255
                    ),
                ),
                ("made_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.organisations.models.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("selector", models.CharField(max_length=63)),
                (
                    "algorithm",
                    models.CharField(choices=[("rsa", "RSA"), ("ed25519", "Ed25519")], max_length=8),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting for its DNS record"),
                            ("active", "Signing"),
                            ("retiring", "Published for mail still on its way"),
                            ("retired", "Retired"),
                        ],
                        default="pending",
                        max_length=8,
                    ),
                ),
                ("sealed_private_key", models.TextField(blank=True)),
                ("public_key", models.TextField(help_text="What p= says in its DNS record")),
                ("created_at", models.DateTimeField()),
                (
                    "seen_at",
                    models.DateTimeField(
                        blank=True, help_text="When its DNS record was last seen to be right", null=True
                    ),
                ),
                ("activated_at", models.DateTimeField(blank=True, null=True)),
                ("retiring_at", models.DateTimeField(blank=True, null=True)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="signing_keys",
                        to="mailboxes.domain",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="organisations.organisation",
                    ),
                ),
            ],
            options={
                "ordering": ["created_at", "id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["pending", "retiring"])),
                        fields=["state"],
                        name="signing_key_to_tend",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("domain", "selector"), name="signing_key_selector_once"),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "active")),
                        fields=("domain", "algorithm"),
                        name="signing_key_one_active",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "pending")),
                        fields=("domain", "algorithm"),
                        name="signing_key_one_pending",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("activated_at__isnull", True), ("state", "pending")),
                            models.Q(
                                ("activated_at__isnull", False),
                                ("retiring_at__isnull", True),
                                ("state", "active"),
                            ),
                            models.Q(
                                ("retired_at__isnull", True),
                                ("retiring_at__isnull", False),
                                ("state", "retiring"),
                            ),
                            models.Q(
                                ("retired_at__isnull", False),
                                ("sealed_private_key", ""),
                                ("state", "retired"),
                            ),
                            _connector="OR",
                        ),
                        name="signing_key_shape",
                    ),
                ],
            },
        ),
    ]
