"""A mailbox of a million messages, made by PostgreSQL itself out of one mail that came by SMTP.

That mail's rows are the template: whatever the product writes is in every copy, and only what makes messages differ is
put in its place. Ten messages make five conversations of one to four, over a year and two months; customers and the
team take turns. Of the conversations three in five lie in the inbox and most others in the archive, one in fifty is not
read (and the newest thousand of them more often), one in a hundred is starred, one in ten has a label, and one in eight
messages has a PDF. Half the bodies are HTML. Words are as frequent as in a language: the n-th of 20,000 stands in a
text 1/n as often as the first.

Limits: what was sent has no deliveries, and all originals are the template's bytes.
"""

import asyncio
import uuid
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from mailplatform.bench.errors import BenchFailed
from mailplatform.bench.session import Session
from mailplatform.bench.stack import Product

SENDER = "elena@bench.invalid"
# How frequent: in nearly half of all messages; in one of two hundred; in twenty of them; in none.
COMMON_WORD, RARER_WORD, RAREST_WORD, ABSENT_WORD = "da", "dolu", "zanzibar", "qqqqqq"
LONG_CONVERSATION = 1_000
_RAREST_COUNT = 20
_BATCH = 50_000
_TEXT = "Words of the template."

# Words are made of syllables, the shortest the most frequent. Computed: an array of them would be unpacked at each use.
_PREPARE: LiteralString = """
CREATE FUNCTION pg_temp.made_id(kind int, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid $$;
CREATE FUNCTION pg_temp.syllable(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
    $$ SELECT substr('bdfgklmnprstvwh', 1 + (n / 5)::int, 1) || substr('aeiou', 1 + (n % 5)::int, 1) $$;
CREATE FUNCTION pg_temp.word(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS
    $$ SELECT CASE WHEN n < 75 THEN pg_temp.syllable(n)
        WHEN n < 5700 THEN pg_temp.syllable(n / 75 - 1) || pg_temp.syllable(n % 75)
        ELSE pg_temp.syllable(n / 5625 - 1) || pg_temp.syllable(n / 75 % 75) || pg_temp.syllable(n % 75) END $$;
CREATE FUNCTION pg_temp.said(n bigint) RETURNS text VOLATILE LANGUAGE sql AS
    $$ SELECT string_agg(pg_temp.word(rank), ' ')
       FROM (SELECT floor(exp(random() * ln(20000)))::bigint - 1 AS rank
             FROM generate_series(1, 40) OFFSET 0) AS drawn $$;
CREATE TEMPORARY TABLE crowd (
    n bigint, thread bigint, k int, sorted_at timestamptz, is_out boolean, customer text, subject text, body text,
    folder text, is_read boolean, is_starred boolean
);
"""

# Of ten messages the first two are conversations of their own, then come two, two, and four together.
_CROWD: LiteralString = """
INSERT INTO crowd
SELECT n, thread, k,
       now() - interval '1 hour' - (1 - thread / %(threads)s::float) * interval '422 days' + k * interval '6 minutes',
       k %% 2 = 1, pg_temp.word(thread * 7919 %% 20000),
       initcap(pg_temp.word(thread * 31 %% 20000)) || ' ' || pg_temp.word(thread * 17 %% 500) || ' '
           || pg_temp.word(thread * 101 %% 20000),
       pg_temp.said(n) || CASE WHEN n %% %(every)s = 7 THEN ' ' || %(rarest)s ELSE '' END,
       CASE WHEN k %% 2 = 1 THEN 'sent' WHEN thread %% 20 < 12 THEN 'inbox' WHEN thread %% 20 < 18 THEN 'archive'
            WHEN thread %% 20 = 18 THEN 'spam' ELSE 'trash' END,
       k %% 2 = 1 OR NOT (thread %% 50 = 0 OR (thread > %(threads)s - 1000 AND thread %% 4 = 0)), thread %% 100 = 3
FROM (
    SELECT n, n / 10 * 5 + ('{0,1,2,2,3,3,4,4,4,4}'::int[])[1 + n %% 10] AS thread,
           ('{0,0,0,1,0,1,0,1,2,3}'::int[])[1 + n %% 10] AS k
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
) AS numbered
"""

# Instead of the oldest conversations, one of a thousand messages that goes on.
_JOIN: LiteralString = """
UPDATE crowd SET thread = 0, k = n, is_out = n %% 2 = 1, is_read = TRUE, subject = 'A long conversation',
    folder = CASE WHEN n %% 2 = 1 THEN 'sent' ELSE 'inbox' END,
    sorted_at = now() - interval '1 minute' * (%(length)s - n)
"""

# By table, which row of it is the template, of which of the crowd there is a copy, and what is put in its place.
_COPIES: tuple[tuple[LiteralString, LiteralString, LiteralString, dict[str, LiteralString]], ...] = (
    (
        "mailboxes_thread",
        "thread",
        "k = 0",
        {"id": "pg_temp.made_id(1, thread)", "subject": "crowd.subject"},
    ),
    (
        "mailboxes_message",
        "message",
        "TRUE",
        {
            "id": "pg_temp.made_id(2, n)",
            "thread_id": "pg_temp.made_id(1, thread)",
            "direction": "CASE WHEN is_out THEN 'out' ELSE 'in' END",
            "state": "CASE WHEN is_out THEN 'sent' ELSE 'filed' END",
            "rfc_message_id": "n || '@bench.invalid'",
            "rfc_message_id_digest": "pg_temp.made_id(2, n)",
            "sender_name": "CASE WHEN is_out THEN 'Support' ELSE initcap(customer) END",
            "sender_address": "CASE WHEN is_out THEN 'support@demo.test' ELSE customer || '@bench.invalid' END",
            "subject": "crowd.subject",
            "date": "sorted_at",
            "received_at": "sorted_at",
            "snippet": "left(body, 150)",
            "short_text": "body",
            "short_html": "CASE WHEN n %% 2 = 0 THEN replace(short_html, %(text)s, body) ELSE '' END",
            "search": "to_tsvector('simple', crowd.subject || ' ' || customer || ' ' || body) || array_to_tsvector("
            "ARRAY['f.' || customer, 't.support', 's.' || split_part(lower(crowd.subject), ' ', 1)] || "
            "CASE WHEN n %% 8 = 0 THEN '{h.file,h.pdf}'::text[] ELSE '{}' END)",
        },
    ),
    ("mailboxes_part", "part", "crowd.n %% 8 = 0", {"message_id": "pg_temp.made_id(2, crowd.n)"}),
    (
        "mailboxes_mailboxentry",
        "entry",
        "TRUE",
        {
            "id": "pg_temp.made_id(3, n)",
            "message_id": "pg_temp.made_id(2, n)",
            "thread_id": "pg_temp.made_id(1, thread)",
            "side": "CASE WHEN is_out THEN 'sender' ELSE 'recipient' END",
            "folder": "crowd.folder",
            "is_read": "crowd.is_read",
            "is_starred": "crowd.is_starred",
            "sorted_at": "crowd.sorted_at",
        },
    ),
    (
        "tickets_ticket",
        "ticket",
        "k = 0",
        {
            "id": "pg_temp.made_id(4, thread)",
            "number": "10 + thread",
            "thread_id": "pg_temp.made_id(1, thread)",
            "subject": "crowd.subject",
            "state": "CASE WHEN thread %% 10 = 0 THEN 'open' WHEN thread %% 10 = 1 THEN 'pending' ELSE 'solved' END",
            "solved_at": "CASE WHEN thread %% 10 > 1 THEN sorted_at END",
            "requester_name": "initcap(customer)",
            "requester_address": "customer || '@bench.invalid'",
            "opened_at": "sorted_at",
            "last_activity_at": "sorted_at",
        },
    ),
)

_LABEL: LiteralString = """
WITH label AS (
    INSERT INTO mailboxes_label (id, organisation_id, name, key, colour)
    VALUES (pg_temp.made_id(5, 0), %(organisation)s, 'Orders', 'orders', 'teal') RETURNING id
)
INSERT INTO mailboxes_conversationlabel (id, organisation_id, mailbox_id, thread_id, label_id)
SELECT pg_temp.made_id(6, number), organisation_id, mailbox_id, thread_id, label.id FROM tickets_ticket, label
WHERE mailbox_id = %(mailbox)s AND number %% 10 = 3
"""
_COUNT_TICKETS: LiteralString = """
UPDATE tickets_ticketcounter SET last_number = (SELECT max(number) FROM tickets_ticket)
WHERE organisation_id = %(organisation)s
"""


def thread_id(number: int) -> uuid.UUID:
    """Of the conversations, oldest first; the first is the one of a thousand messages, its next 500 are not there."""
    return uuid.UUID(int=(1 << 96) | (7 << 76) | (8 << 60) | number)


async def fill_mailbox(product: Product, messages: int) -> None:
    """Let the team's mailbox, which has no mail yet, hold so many messages (thousands), one conversation of a thousand
    among them. Raises BenchFailed when the template does not arrive.
    """
    shared = product.mailbox("shared")
    filed = await product.count_filed()
    session = await Session.open(product.smtp_port)
    mail = _template(shared["address"])
    await session.send(SENDER.encode(), shared["address"].encode(), mail, pipelined=False)
    await session.close()
    await product.wait_filed(filed + 1)
    await product.wait_quiet()
    await asyncio.to_thread(_fill, product.database_url, shared["id"], messages)


def _template(address: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Elena Marsh <{SENDER}>"
    mail["To"] = address
    mail["Subject"] = "The template"
    mail["Date"] = formatdate()
    mail["Message-ID"] = "<template@bench.invalid>"
    mail.set_content(_TEXT)
    mail.add_alternative(f"<p>Hello,</p><p>{_TEXT}</p><p><b>Elena</b></p>", subtype="html")
    pdf = b"%PDF-1.4\n" + b"0" * 20_000
    mail.add_attachment(pdf, maintype="application", subtype="pdf", filename="terms.pdf")
    return mail.as_bytes()


def _fill(database_url: str, mailbox_id: str, messages: int) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        given = {
            **_template_ids(connection, mailbox_id),
            "threads": messages // 2,
            "every": messages // _RAREST_COUNT,
            "rarest": RAREST_WORD,
            "length": LONG_CONVERSATION,
            "text": _TEXT,
        }
        connection.execute(_PREPARE)
        # Built anew at the end, which takes a tenth of the time.
        index = _one(connection, "SELECT indexdef FROM pg_indexes WHERE indexname = 'message_search'")
        connection.execute("DROP INDEX message_search")
        copies = [_copy(connection, *one) for one in _COPIES]
        for first in (0, *range(LONG_CONVERSATION, messages, _BATCH)):
            last = LONG_CONVERSATION if first == 0 else min(first + _BATCH, messages)
            _make(connection, copies, given | {"first": first, "last": last - 1})
        for statement in (_LABEL, _COUNT_TICKETS):
            connection.execute(statement, given)
        connection.execute("SET maintenance_work_mem = '256MB'")
        connection.execute(sql.SQL(index["indexdef"]))
        connection.execute("VACUUM (ANALYZE)")


def _template_ids(connection: psycopg.Connection, mailbox_id: str) -> dict[str, Any]:
    return _one(
        connection,
        "SELECT entry.id AS entry, message_id AS message, thread_id AS thread, ticket.id AS ticket, part.id AS part, "
        "entry.organisation_id AS organisation, mailbox_id AS mailbox FROM mailboxes_mailboxentry AS entry "
        "JOIN tickets_ticket AS ticket USING (mailbox_id, thread_id) JOIN mailboxes_part AS part USING (message_id) "
        "WHERE mailbox_id = %s",
        [mailbox_id],
    )


def _make(connection: psycopg.Connection, copies: list[sql.Composed], told: dict[str, Any]) -> None:
    with connection.transaction():
        connection.execute("TRUNCATE crowd")
        connection.execute(_CROWD, told)
        if told["first"] == 0:
            connection.execute(_JOIN, told)
        for copy in copies:
            connection.execute(copy, told)


def _copy(
    connection: psycopg.Connection,
    table: LiteralString,
    template: LiteralString,
    of: LiteralString,
    own: dict[str, LiteralString],
) -> sql.Composed:
    """INSERT copies of a template's row, with `own` in the place of what it has."""
    found = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND is_identity = 'NO'",
        [table],
    )
    names = [name for (name,) in found]
    values = [sql.SQL(own[name]) if name in own else sql.Identifier("one", name) for name in names]
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS one, crowd WHERE one.id = {} AND {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join(values),
        sql.Identifier(table),
        sql.Placeholder(template),
        sql.SQL(of),
    )


def _one(
    connection: psycopg.Connection, query: LiteralString, parameters: Sequence[str] = ()
) -> dict[str, Any]:
    row = connection.cursor(row_factory=dict_row).execute(query, parameters).fetchone()
    if row is None:
        raise BenchFailed("the template was not filed as it was expected to be")
    return row
