"""What stands within a message besides its text and its files, as it is kept in `Message.contents`.

    enclosed     [{n, from, to, subject, date, snippet, remote}]   messages within it, by the part that holds each
    invitation   {method, summary, starts, ends, …}        what its calendar part says (mime.invitation)
    remote       {pictures, trackers}                      what its HTML wants from elsewhere (mime.remote_images)
    remarks      [code]                                    what a reader should be told: encrypted, signed, in pieces
    unsubscribe  {url, mailto, one_click}                  how the list that it came by can be left (mime.list_headers)

Only what is there is kept: most messages have an empty object. The texts of enclosed messages are found by search and
are read from their part when somebody opens them.
"""

from dataclasses import asdict
from typing import Any

from apps.mime.message import Enclosed, ParsedMessage
from apps.mime.remote_images import count_remote

MAX_SNIPPET_CHARS = 300


def contents_of(parsed: ParsedMessage) -> dict[str, Any]:
    """The JSON that is kept of a parsed message."""
    contents: dict[str, Any] = {}
    if parsed.enclosed:
        contents["enclosed"] = [_enclosed(one) for one in parsed.enclosed]
    if parsed.invitation is not None:
        contents["invitation"] = asdict(parsed.invitation)
    if parsed.has_remote_images:
        contents["remote"] = asdict(count_remote(parsed.html))
    if parsed.unsubscribe is not None:
        contents["unsubscribe"] = dict(zip(("url", "mailto", "one_click"), parsed.unsubscribe, strict=True))
    if parsed.remarks:
        contents["remarks"] = list(parsed.remarks)
    return contents


def _enclosed(one: Enclosed) -> dict[str, Any]:
    return {
        "n": one.n,
        "from": asdict(one.sender),
        "to": [asdict(address) for address in one.to],
        "subject": one.subject,
        "date": one.date.isoformat() if one.date else None,
        "snippet": " ".join(one.text[: MAX_SNIPPET_CHARS * 4].split())[:MAX_SNIPPET_CHARS],
        "remote": asdict(one.remote),
    }
