from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0015_mark_where_words_stand")]

    operations = [
        migrations.AddField(
            model_name="savedview",
            name="position",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="Among the views of its mailbox, from the top"
            ),
        ),
        migrations.AlterModelOptions(name="savedview", options={"ordering": ["position", "name", "id"]}),
    ]
