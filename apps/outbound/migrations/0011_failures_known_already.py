from django.db import migrations


class Migration(migrations.Migration):
    """What failed before anybody was told of failures is no news now."""

    dependencies = [("outbound", "0010_bounces")]

    operations = [
        migrations.RunSQL(
            "UPDATE outbound_delivery SET failure_told_at = coalesce(finished_at, now()) "
            "WHERE state IN ('failed', 'expired', 'rejected', 'bounced', 'suppressed') AND failure_told_at IS NULL",
            migrations.RunSQL.noop,
        )
    ]
