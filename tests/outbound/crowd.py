"""Queues of hundreds of thousands, made by PostgreSQL itself."""

from collections.abc import Sequence

from django.db import connection

from apps.outbound.submission.submit import Submitted

RECIPIENTS_EACH = 10


def crowd(
    template: Submitted,
    destinations: Sequence[str],
    count: int,
    *,
    due: str = "now()",
    state: str = "queued",
    analysed: bool = True,
) -> None:
    """`count` deliveries like the template's, in turns to these destinations, ten to a message of its mailbox.

    `due` is SQL, in which n counts them. Unless `analysed`, PostgreSQL plans as if they were not there.
    """
    with connection.cursor() as cursor:
        message = _columns("mailboxes_message")
        cursor.execute(
            f"INSERT INTO mailboxes_message (id, {message}) SELECT gen_random_uuid(), {message} "  # noqa: S608
            "FROM mailboxes_message, generate_series(1, %s) WHERE id = %s RETURNING id",
            [-(-count // RECIPIENTS_EACH), template.message.pk],
        )
        messages = [row[0] for row in cursor.fetchall()]
        entry = _columns("mailboxes_mailboxentry", "message_id")
        cursor.execute(
            f"INSERT INTO mailboxes_mailboxentry (id, message_id, {entry}) "  # noqa: S608
            f"SELECT gen_random_uuid(), one.id, {entry} FROM mailboxes_mailboxentry, unnest(%s::uuid[]) AS one (id) "
            "WHERE message_id = %s",
            [messages, template.message.pk],
        )
        own = ("message_id", "recipient", "destination", "due_at", "state")
        delivery = _columns("outbound_delivery", *own)
        cursor.execute(
            f"INSERT INTO outbound_delivery (id, {', '.join(own)}, {delivery}) "  # noqa: S608
            "SELECT gen_random_uuid(), (%(messages)s::uuid[])[1 + (n - 1) / %(each)s], 'c' || n || '@' || domain, "
            f"domain, {due}, %(state)s, {delivery} FROM outbound_delivery, "
            "(SELECT n, (%(destinations)s::text[])[1 + (n - 1) %% array_length(%(destinations)s::text[], 1)] AS domain "
            "FROM generate_series(1, %(count)s) AS n) AS crowd WHERE id = %(template)s",
            {
                "messages": messages,
                "each": RECIPIENTS_EACH,
                "destinations": list(destinations),
                "count": count,
                "state": state,
                "template": template.deliveries[0].pk,
            },
        )
        if analysed:
            cursor.execute("ANALYZE outbound_delivery, mailboxes_message, mailboxes_mailboxentry")


def _columns(table: str, *without: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(one.name, ', ') FROM (SELECT quote_ident(column_name) AS name "
            "FROM information_schema.columns WHERE table_name = %s AND column_name <> ALL(%s)) AS one",
            [table, ["id", *without]],
        )
        row = cursor.fetchone()
    return str(row[0]) if row else ""
