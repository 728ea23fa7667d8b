from django.db import migrations, models


class Migration(migrations.Migration):
    """Nothing changes in the database: a push may have one reason more, and a field's help says so."""

    dependencies = [("notifications", "0001_browsers_that_asked_to_be_told")]

    operations = [
        migrations.AlterField(
            model_name="push",
            name="because",
            field=models.CharField(
                choices=[
                    ("mail", "New mail"),
                    ("assigned", "Assigned to you"),
                    ("mentioned", "You are mentioned in a note"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="notificationwish",
            name="about_mine",
            field=models.BooleanField(
                default=True, help_text="My own mail, tickets assigned to me, and notes that call me"
            ),
        ),
    ]
