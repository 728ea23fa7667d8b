from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("mailboxes", "0003_message_handling_and_envelope_sender"),
        ("organisations", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="domain",
            name="proof",
            field=models.CharField(blank=True, help_text="The token its TXT record must show", max_length=64),
        ),
        migrations.AddField(
            model_name="domain",
            name="verified_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="domain",
            name="name",
            field=models.CharField(max_length=255),
        ),
        migrations.AddIndex(
            model_name="domain",
            index=models.Index(fields=["name"], name="domain_by_name"),
        ),
        migrations.AddConstraint(
            model_name="domain",
            constraint=models.UniqueConstraint(fields=("organisation", "name"), name="domain_claimed_once"),
        ),
        migrations.AddConstraint(
            model_name="domain",
            constraint=models.UniqueConstraint(
                condition=models.Q(("verified_at__isnull", False)),
                fields=("name",),
                name="domain_verified_once",
            ),
        ),
    ]
