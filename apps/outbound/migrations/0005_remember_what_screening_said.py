import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0001_initial"),
        ("organisations", "0001_initial"),
        ("outbound", "0004_serve_claims_from_indexes"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutgoingScreening",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="screening",
                        serialize=False,
                        to="mailboxes.message",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("clean", "Clean"),
                            ("infected", "Virus"),
                            ("spam", "Spam"),
                            ("forbidden", "Forbidden file"),
                            ("unscannable", "Not screened yet"),
                        ],
                        max_length=16,
                    ),
                ),
                ("scanner", models.CharField(blank=True, help_text="The one that decided", max_length=32)),
                ("code", models.CharField(blank=True, max_length=64)),
                (
                    "reason",
                    models.TextField(blank=True, help_text="The verdict in a sentence for the sender"),
                ),
                (
                    "details",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), blank=True, default=list, size=None
                    ),
                ),
                (
                    "version",
                    models.TextField(
                        blank=True,
                        help_text="Scanners, rules and policy it rests on; with others, it is screened again",
                    ),
                ),
                ("screened_at", models.DateTimeField()),
                (
                    "tries",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Times in a row that no verdict was reached: the wait grows with them",
                    ),
                ),
                (
                    "try_again_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Until then nobody asks again, whichever recipient comes up",
                        null=True,
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
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("outcome", "unscannable"), ("try_again_at__isnull", False)),
                            models.Q(
                                models.Q(("outcome", "unscannable"), _negated=True),
                                ("try_again_at__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="screening_again_iff_unscannable",
                    )
                ],
            },
        ),
    ]
