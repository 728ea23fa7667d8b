import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """An event has a message or a ticket, seldom both, and nobody asks for all of an organisation's."""

    dependencies = [
        ("events", "0002_actor_may_be_a_room"),
        ("organisations", "0001_initial"),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name="event",
            name="event_by_message",
        ),
        migrations.RemoveIndex(
            model_name="event",
            name="event_by_ticket",
        ),
        migrations.AlterField(
            model_name="event",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="organisations.organisation",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("message_id__isnull", False)),
                fields=["message_id", "id"],
                name="event_by_message",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("ticket_id__isnull", False)),
                fields=["ticket_id", "id"],
                name="event_by_ticket",
            ),
        ),
    ]
