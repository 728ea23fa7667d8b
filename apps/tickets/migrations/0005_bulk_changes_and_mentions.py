import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.organisations.models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0014_labels_snoozes_and_saved_views"),
        ("organisations", "0001_initial"),
        ("tickets", "0004_messages_move_between_tickets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkChange",
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
                    "deed",
                    models.CharField(
                        choices=[
                            ("archive", "Archived"),
                            ("inbox", "Moved to the inbox"),
                            ("trash", "Moved to Trash"),
                            ("spam", "Moved to Spam"),
                            ("not_spam", "Moved to the inbox, and remembered as no spam"),
                            ("snooze", "Snoozed"),
                            ("read", "Marked read"),
                            ("unread", "Marked unread"),
                            ("star", "Starred"),
                            ("unstar", "Star taken away"),
                            ("label", "Labelled"),
                            ("unlabel", "Label taken away"),
                            ("solve", "Solved"),
                            ("reopen", "Opened again"),
                            ("assign", "Assigned"),
                        ],
                        max_length=16,
                    ),
                ),
                ("before", models.JSONField(help_text="By the kind of row, ids with what they had: bulk")),
                ("made_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(blank=True, null=True)),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="mailboxes.mailbox"
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="organisations.organisation",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["made_at"], name="bulk_change_by_time")],
            },
        ),
        migrations.CreateModel(
            name="Mention",
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
                    "note",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mentions",
                        to="tickets.note",
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
                (
                    "ticket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mentions",
                        to="tickets.ticket",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("note", "user"), name="mentioned_once")],
            },
        ),
    ]
