from collections.abc import Iterator
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import F, Func, Value

from apps.mailboxes.search import lexemes_of, marked_words

AT_ONCE = 500


def _pieces(rows: Any) -> Iterator[list[Any]]:
    last = None
    while True:
        following = rows if last is None else rows.filter(pk__gt=last)
        piece = list(following.order_by("pk")[:AT_ONCE])
        if not piece:
            return
        yield piece
        last = piece[-1].pk


def mark(apps: Any, _editor: Any) -> None:
    """Add to each message's search vector who wrote it, whom to, its subject and what is attached."""
    messages = apps.get_model("mailboxes", "Message").objects
    fields = ("pk", "sender_name", "sender_address", "to", "cc", "subject")
    for piece in _pieces(messages.only(*fields).prefetch_related("parts")):
        for row in piece:
            marked = marked_words(
                sender=f"{row.sender_name} {row.sender_address}",
                recipients=[f"{one['name']} {one['address']}" for one in (*row.to, *row.cc)],
                subject=row.subject,
                filenames=[part.filename for part in row.parts.all() if not part.inline],
            )
            lexemes = Value(lexemes_of(marked), output_field=ArrayField(models.TextField()))
            added = Func(lexemes, template="array_to_tsvector(%(expressions)s::text[])")
            joined = Func(F("search"), added, template="%(expressions)s", arg_joiner=" || ")
            messages.filter(pk=row.pk).update(search=joined)


class Migration(migrations.Migration):
    """Messages from before are found by `from:` and its like, too. In pieces, each committed: doing it again is safe."""

    atomic = False
    dependencies = [("mailboxes", "0014_labels_snoozes_and_saved_views")]
    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
