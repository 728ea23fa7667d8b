from django.db import migrations


class Migration(migrations.Migration):
    """Mail hardly compresses, and trying costs more than the commit: keep the spool out of line and as it is."""

    dependencies = [("blobs", "0001_initial")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE blobs_spooledbytes ALTER COLUMN content SET STORAGE EXTERNAL",
            "ALTER TABLE blobs_spooledbytes ALTER COLUMN content SET STORAGE EXTENDED",
        )
    ]
