import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Fewer indexes on what every worker writes: each of a delivery's three writes costs an entry in each of them.

    Foreign keys that nobody looks up lose theirs, and so do those that another index begins with (a message's
    recipients, an attempt's number, an organisation's states). A fence and a result then change no index of their row.
    """

    dependencies = [
        ("mailboxes", "0005_existing_domains_count_as_proven"),
        ("organisations", "0001_initial"),
        ("outbound", "0012_analyse_queue_in_time"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="delivery", name="delivery_finished"),
        migrations.AlterField(
            model_name="delivery",
            name="local_mailbox",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="mailboxes.mailbox",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="message",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="mailboxes.message",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="organisation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="organisations.organisation",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="pinned_relay",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The only one that may be asked: a person chose it, or an uncertain attempt went over it",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="outbound.relay",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="relay",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="Asked last",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="outbound.relay",
            ),
        ),
        migrations.AlterField(
            model_name="deliveryattempt",
            name="delivery",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="attempts",
                to="outbound.delivery",
            ),
        ),
        migrations.AlterField(
            model_name="deliveryattempt",
            name="relay",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="outbound.relay",
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["organisation", "finished_at"],
                name="delivery_finished",
            ),
        ),
    ]
