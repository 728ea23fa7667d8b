"""For the rule that 0015 makes: whatever waits, failed or was called off has a cause."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("outbound", "0013_write_sends_in_place")]

    operations = [
        migrations.RunSQL(
            "UPDATE outbound_delivery SET cause = 'platform_fault' "
            "WHERE cause = '' AND state NOT IN ('sending', 'sent', 'delivered')",
            migrations.RunSQL.noop,
        ),
    ]
