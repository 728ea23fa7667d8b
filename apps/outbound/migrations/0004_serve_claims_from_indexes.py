from django.db import migrations, models

WAITING = models.Q(state__in=["scheduled", "queued", "deferred"])


class Migration(migrations.Migration):
    """Claims by destination, and what waits for one recipient, however many wait.

    Every delivery is rewritten a few times within a second: room on its page lets PostgreSQL do that without touching
    the indexes for changes that they do not hold (the fence, a lease).
    """

    dependencies = [("outbound", "0003_fill_destinations")]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=WAITING, fields=["lane", "destination", "due_at"], name="delivery_by_destination"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=WAITING, fields=["organisation", "recipient"], name="delivery_waiting_for"
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE outbound_delivery SET (fillfactor = 75);"
            "ALTER TABLE outbound_deliveryattempt SET (fillfactor = 75)",
            "ALTER TABLE outbound_delivery RESET (fillfactor);"
            "ALTER TABLE outbound_deliveryattempt RESET (fillfactor)",
        ),
    ]
