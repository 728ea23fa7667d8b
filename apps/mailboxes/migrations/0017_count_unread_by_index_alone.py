"""Puts the thread into the index of what is not read: the rail counts conversations, which took a read of every row."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0016_views_have_an_order")]

    operations = [
        migrations.RemoveIndex(model_name="mailboxentry", name="entry_unread"),
        migrations.AddIndex(
            model_name="mailboxentry",
            index=models.Index(
                condition=models.Q(is_read=False), fields=["mailbox", "folder", "thread"], name="entry_unread"
            ),
        ),
    ]
