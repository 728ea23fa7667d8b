"""Which header fields a signature covers: one table, each with its reason.

RFC 6376 §5.4 leaves the choice to the signer and demands only From. We sign what a reader sees, what a mail program
acts on, and what makes bytes into text, and each once more than it occurs (§5.4.2, §8.15): a field that is named in
`h=` but not there counts as empty, so nobody who replays our mail can add a second From, a Cc, or an unsubscribe
button of theirs and keep our signature.

What relays and lists rightly add on the way is left alone: Received, Return-Path, Authentication-Results, ARC-*,
List-Id.

Limits: a mailing list that adds a List-Unsubscribe of its own breaks the signature. Most change Subject or the body and
break every signature; those that do not are rarer than the attack.
"""

# Lower-case field name → why it is signed.
OVERSIGNED: dict[str, str] = {
    "from": "whom the reader believes; RFC 6376 §5.4 demands it",
    "sender": "shown as “on behalf of” by some programs",
    "reply-to": "where the answer goes: added, it steals the conversation",
    "to": "a replayed mail must keep showing whom it was written to",
    "cc": "likewise, and reply-all writes to it",
    "subject": "read first, and most worth forging",
    "date": "a second one makes an old mail look new",
    "message-id": "what threading, deduplication and our own bounces go by",
    "in-reply-to": "places the mail into a conversation",
    "references": "likewise",
    "mime-version": "decides whether the body is MIME at all",
    "content-type": "a second one shows other parts than those that were signed (RFC 6376 §8.15)",
    "content-transfer-encoding": "decides what the body's bytes mean",
    "content-disposition": "turns the text into a file, or a file into the text",
    "list-unsubscribe": "a button in the reader's program; RFC 8058 §4 demands that it is signed",
    "list-unsubscribe-post": "makes that button one click; RFC 8058 §4 demands it likewise",
    "auto-submitted": "says that no answer is wanted; added or changed, it starts or stops a loop (RFC 3834)",
    "feedback-id": "whom Gmail's complaint figures are counted for; ignored unless signed",
}
