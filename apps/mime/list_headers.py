"""How a mailing says it can be left: List-Unsubscribe (RFC 2369 §3.2) and List-Unsubscribe-Post (RFC 8058 §3.1)."""

import re

from apps.mime.clean import clean_line
from apps.mime.headers import Headers

MAX_URI_CHARS = 2000
_URI = re.compile(r"<\s*([^<>\s]{1,2000})\s*>")
_MAX_URIS = 10

# An https address, a mailto address, and whether the former takes RFC 8058's POST: "" for what is not there.
Ways = tuple[str, str, bool]


def read_unsubscribe(headers: Headers) -> Ways | None:
    """The first way of each kind; None for a mail that names none."""
    field = clean_line(headers.get("list-unsubscribe")[: MAX_URI_CHARS * 2], MAX_URI_CHARS * 2)
    uris = _URI.findall(field)[:_MAX_URIS]
    url = next((one for one in uris if one.lower().startswith(("https://", "http://"))), "")
    mailto = next((one for one in uris if one.lower().startswith("mailto:")), "")
    posts = headers.get("list-unsubscribe-post").replace(" ", "").lower() == "list-unsubscribe=one-click"
    return (url, mailto, posts and url.lower().startswith("https://")) if url or mailto else None
