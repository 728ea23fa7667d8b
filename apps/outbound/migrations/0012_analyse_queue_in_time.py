"""A queue is empty nearly always, and PostgreSQL should soon notice when it is not.

A tenth of a table of a million sent deliveries is too much to wait for before the waiting ones are counted anew.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("outbound", "0011_failures_known_already")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE outbound_delivery SET "
            "(autovacuum_analyze_scale_factor = 0.01, autovacuum_vacuum_scale_factor = 0.02)",
            "ALTER TABLE outbound_delivery RESET "
            "(autovacuum_analyze_scale_factor, autovacuum_vacuum_scale_factor)",
        )
    ]
