import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

import apps.organisations.models


class Migration(migrations.Migration):
    dependencies = [
        ("organisations", "0001_initial"),
        ("outbound", "0005_relays_of_organisations"),
    ]

    operations = [
        migrations.CreateModel(
            name="SendingLimit",
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
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("relay", "Relay"),
                            ("sender", "Sender's address"),
                            ("organisation", "Organisation"),
                            ("destination", "Recipient's domain"),
                        ],
                        max_length=16,
                    ),
                ),
                ("subject", models.CharField(default="*", max_length=254)),
                (
                    "connections",
                    models.PositiveIntegerField(blank=True, help_text="Open at the same time", null=True),
                ),
                (
                    "per_second",
                    models.PositiveIntegerField(blank=True, help_text="Messages begun", null=True),
                ),
                ("per_minute", models.PositiveIntegerField(blank=True, help_text="Messages", null=True)),
                ("per_hour", models.PositiveIntegerField(blank=True, help_text="Messages", null=True)),
                (
                    "per_day",
                    models.PositiveIntegerField(blank=True, help_text="Messages in any 24 hours", null=True),
                ),
                (
                    "gap_ms",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="At least so long from one message's beginning to the next one's",
                        null=True,
                    ),
                ),
                (
                    "recipients_per_transaction",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="We send one at a time, which keeps every bound from 1 on",
                        null=True,
                    ),
                ),
                ("max_size_bytes", models.PositiveBigIntegerField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "updated_at",
                    models.DateTimeField(help_text="Counts are rebuilt when a row is newer than they are"),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="deliveryattempt",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["started_at"], name="attempt_started", pages_per_range=32
            ),
        ),
        migrations.AddField(
            model_name="sendinglimit",
            name="organisation",
            field=models.ForeignKey(
                blank=True,
                help_text="Whose mail is counted; null: everybody's together",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="organisations.organisation",
            ),
        ),
        migrations.AddConstraint(
            model_name="sendinglimit",
            constraint=models.UniqueConstraint(
                fields=("organisation", "scope", "subject"), name="sending_limit_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="sendinglimit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("connections__isnull", False),
                    ("per_second__isnull", False),
                    ("per_minute__isnull", False),
                    ("per_hour__isnull", False),
                    ("per_day__isnull", False),
                    ("gap_ms__isnull", False),
                    ("recipients_per_transaction__isnull", False),
                    ("max_size_bytes__isnull", False),
                    _connector="OR",
                ),
                name="sending_limit_bounds_something",
            ),
        ),
    ]
