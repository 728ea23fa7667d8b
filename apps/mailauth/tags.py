"""Lists of `tag=value` as DKIM key records (RFC 6376 §3.2) and DMARC records (RFC 7489 §6.4) are written."""

import re
from collections.abc import Mapping

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class TagsInvalid(ValueError):
    """The text is no such list; the message names the place."""


def parse_tags(text: str) -> Mapping[str, str]:
    """The tags in their order. White space around tags and values does not count. Raises TagsInvalid."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not _TAG.fullmatch(name):
            raise TagsInvalid(part.strip()[:60])
        if name in tags:
            # RFC 6376 §3.2: a tag that stands twice makes the whole list void.
            raise TagsInvalid(f"{name}= ({name})")
        tags[name] = value.strip()
    return tags
