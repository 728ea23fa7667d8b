import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Relays belong to organisations, know what they are for, and may lead straight to the recipients' servers."""

    dependencies = [("organisations", "0001_initial"), ("outbound", "0004_serve_claims_from_indexes")]

    operations = [
        migrations.RenameField("relay", "position", "priority"),
        migrations.AddField(
            "relay",
            "organisation",
            models.ForeignKey(
                blank=True,
                help_text="Whose mail it takes; null: everybody's, as RELAY_URL says",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="organisations.organisation",
            ),
        ),
        migrations.AddField(
            "relay",
            "kind",
            models.CharField(
                choices=[("smarthost", "Smarthost"), ("direct", "Direct to the recipients' servers")],
                default="smarthost",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "relay",
            "certificates",
            models.CharField(
                choices=[
                    ("by_security", "Checked where TLS is required"),
                    ("required", "Always checked"),
                    ("ignored", "Never checked"),
                ],
                default="by_security",
                max_length=16,
            ),
        ),
        migrations.AddField(
            "relay",
            "sealed_secret",
            models.TextField(
                blank=True,
                default="",
                help_text="The password, sealed by organisations.sealing; never shown again",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "relay",
            "hello_name",
            models.CharField(
                blank=True,
                default="",
                help_text="What we call ourselves in EHLO; empty: our address",
                max_length=255,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            "relay",
            "weight",
            models.PositiveSmallIntegerField(
                default=1,
                help_text="Its share among those of equal priority",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(1000),
                ],
            ),
        ),
        migrations.AddField(
            "relay",
            "sender_domains",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=254),
                blank=True,
                default=list,
                help_text="Only mail from these domains; empty: all. `*.example.org` means all below it",
                size=None,
            ),
        ),
        migrations.AddField(
            "relay",
            "recipient_domains",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=254),
                blank=True,
                default=list,
                help_text="Only mail to these domains",
                size=None,
            ),
        ),
        migrations.AddField(
            "relay",
            "lanes",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=16),
                blank=True,
                default=list,
                help_text="Only mail of these lanes",
                size=None,
            ),
        ),
        migrations.AddField(
            "relay",
            "allow_private_networks",
            models.BooleanField(
                default=False,
                help_text="Whether a direct one may connect to loopback, private and link-local addresses",
            ),
        ),
        migrations.AddField(
            "relay", "created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)
        ),
        migrations.AddField(
            "relay",
            "updated_at",
            models.DateTimeField(
                default=django.utils.timezone.now, help_text="Workers take up what is newer"
            ),
        ),
        migrations.AddField("relay", "removed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AlterField("relay", "name", models.CharField(max_length=255)),
        migrations.AlterField(
            "relay",
            "host",
            models.CharField(blank=True, help_text="Empty for a direct one", max_length=255),
        ),
        migrations.AlterField("relay", "port", models.PositiveIntegerField(default=25)),
        migrations.AlterField(
            "relay",
            "security",
            models.CharField(
                choices=[
                    ("none", "None"),
                    ("opportunistic", "STARTTLS when offered"),
                    ("starttls", "STARTTLS, required"),
                    ("tls", "Implicit TLS"),
                ],
                default="opportunistic",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            "relay",
            "priority",
            models.PositiveSmallIntegerField(
                default=10,
                help_text="Lower is asked first",
                validators=[django.core.validators.MaxValueValidator(1000)],
            ),
        ),
        migrations.AlterField(
            "relay",
            "is_active",
            models.BooleanField(default=True, help_text="False: a person paused it"),
        ),
        migrations.AddConstraint(
            "relay",
            models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)),
                fields=("organisation", "name"),
                name="relay_name_once",
            ),
        ),
        migrations.AddConstraint(
            "relay",
            models.UniqueConstraint(
                condition=models.Q(("organisation__isnull", True)),
                fields=("name",),
                name="relay_of_environment_once",
            ),
        ),
        migrations.AddConstraint(
            "relay",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("from_environment", True), ("organisation__isnull", True), ("sealed_secret", "")
                    ),
                    models.Q(("from_environment", False), ("organisation__isnull", False)),
                    _connector="OR",
                ),
                name="relay_shared_iff_of_environment",
            ),
        ),
        migrations.AddConstraint(
            "relay",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("host", ""), ("kind", "direct"), ("sealed_secret", ""), ("username", "")),
                    models.Q(("kind", "smarthost"), models.Q(("host", ""), _negated=True)),
                    _connector="OR",
                ),
                name="relay_host_iff_smarthost",
            ),
        ),
        migrations.AddConstraint(
            "relay",
            models.CheckConstraint(condition=models.Q(("weight__gte", 1)), name="relay_weight_positive"),
        ),
    ]
