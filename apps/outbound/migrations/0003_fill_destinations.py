from django.db import migrations


class Migration(migrations.Migration):
    """The domain of deliveries that were written before it had a column."""

    dependencies = [("outbound", "0002_what_sending_needs_to_know")]

    operations = [
        migrations.RunSQL(
            "UPDATE outbound_delivery SET destination = lower(split_part(recipient, '@', -1)) WHERE destination = ''",
            migrations.RunSQL.noop,
        )
    ]
