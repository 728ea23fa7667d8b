from django.db import migrations, models


class Migration(migrations.Migration):
    """What was found out about a received message's sender; null for those that came before anybody asked."""

    dependencies = [("mailboxes", "0008_messages_say_by_which_rule_they_were_filed")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="authentication",
            field=models.JSONField(
                blank=True,
                help_text="Who sent it, as far as that is proven: mailauth.results; null where nobody asked",
                null=True,
            ),
        ),
    ]
