import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.organisations.models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0013_find_what_was_read_in_haste"),
        ("organisations", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ConversationLabel",
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
            ],
        ),
        migrations.CreateModel(
            name="Label",
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
                ("name", models.CharField(max_length=60)),
                (
                    "key",
                    models.CharField(
                        help_text="Its name folded: what is unique, and is searched for", max_length=240
                    ),
                ),
                (
                    "colour",
                    models.CharField(
                        choices=[
                            ("grey", "Grey"),
                            ("red", "Red"),
                            ("orange", "Orange"),
                            ("yellow", "Yellow"),
                            ("green", "Green"),
                            ("teal", "Teal"),
                            ("blue", "Blue"),
                            ("purple", "Purple"),
                        ],
                        default="grey",
                        max_length=8,
                    ),
                ),
            ],
            options={
                "ordering": ["key"],
            },
        ),
        migrations.CreateModel(
            name="SavedView",
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
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(max_length=500)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["name", "id"],
            },
        ),
        migrations.CreateModel(
            name="Snooze",
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
                ("until", models.DateTimeField()),
            ],
        ),
        migrations.AlterField(
            model_name="mailboxentry",
            name="folder",
            field=models.CharField(
                choices=[
                    ("inbox", "Inbox"),
                    ("snoozed", "Snoozed"),
                    ("sent", "Sent"),
                    ("outbox", "Outbox"),
                    ("archive", "Archive"),
                    ("spam", "Spam"),
                    ("trash", "Trash"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="mailboxentry",
            index=models.Index(fields=["mailbox", "-sorted_at", "-id"], name="entry_in_mailbox"),
        ),
        migrations.AddIndex(
            model_name="mailboxentry",
            index=models.Index(
                condition=models.Q(("is_starred", True)),
                fields=["mailbox", "-sorted_at"],
                name="entry_starred",
            ),
        ),
        migrations.AddField(
            model_name="conversationlabel",
            name="mailbox",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="mailboxes.mailbox",
            ),
        ),
        migrations.AddField(
            model_name="conversationlabel",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="organisations.organisation",
            ),
        ),
        migrations.AddField(
            model_name="conversationlabel",
            name="thread",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="mailboxes.thread"
            ),
        ),
        migrations.AddField(
            model_name="label",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organisations.organisation"
            ),
        ),
        migrations.AddField(
            model_name="conversationlabel",
            name="label",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="conversations",
                to="mailboxes.label",
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="mailbox",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="views", to="mailboxes.mailbox"
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organisations.organisation"
            ),
        ),
        migrations.AddField(
            model_name="savedview",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                help_text="Whose it is; nobody's: the mailbox's",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="snooze",
            name="mailbox",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="mailboxes.mailbox",
            ),
        ),
        migrations.AddField(
            model_name="snooze",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="organisations.organisation"
            ),
        ),
        migrations.AddField(
            model_name="snooze",
            name="set_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="snooze",
            name="thread",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="mailboxes.thread"
            ),
        ),
        migrations.AddConstraint(
            model_name="label",
            constraint=models.UniqueConstraint(fields=("organisation", "key"), name="label_once"),
        ),
        migrations.AddConstraint(
            model_name="conversationlabel",
            constraint=models.UniqueConstraint(
                fields=("mailbox", "thread", "label"), name="conversation_labelled_once"
            ),
        ),
        migrations.AddIndex(
            model_name="snooze",
            index=models.Index(fields=["until"], name="snooze_by_moment"),
        ),
        migrations.AddConstraint(
            model_name="snooze",
            constraint=models.UniqueConstraint(fields=("mailbox", "thread"), name="snoozed_once"),
        ),
    ]
