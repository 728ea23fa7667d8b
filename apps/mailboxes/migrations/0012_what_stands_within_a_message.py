from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0011_domains_may_catch_all")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="contents",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="What stands within it besides text and files, where there is any: mailboxes.contents",
            ),
        ),
        migrations.AddField(
            model_name="part",
            name="within",
            field=models.PositiveIntegerField(
                default=0, help_text="The part it was found in, such as a winmail.dat or a forwarded message"
            ),
        ),
    ]
