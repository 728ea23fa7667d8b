"""Names of domains: in the one form they are compared in, and who is behind one.

The public suffix list (publicsuffix.org) comes with its package and is as old as that; nothing is fetched. Its private
half counts too, so that two customers of one hosting provider are two.
"""

import functools

import idna
from publicsuffixlist import PublicSuffixList


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


@functools.lru_cache(maxsize=10_000)
def organisational_domain(name: str) -> str:
    """RFC 7489 §3.2: the public suffix and one label more; the name itself where there is no such label.

    `name` is as `ascii_domain` makes it.
    """
    found: str | None = _suffixes().privatesuffix(name)
    return found or name


def is_public_suffix(name: str) -> bool:
    """Whether strangers have names beneath it, as beneath `co.uk`. `name` is as `ascii_domain` makes it."""
    return bool(_suffixes().is_public(name))


def ascii_domain(text: str) -> str:
    """In lower case, in A-labels (RFC 5890 §2.3.2.1), without a final dot; "" for what can be no domain."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return ""
    fits = 0 < len(name) <= 253 and all(0 < len(label) <= 63 for label in name.split("."))
    return name if fits and all(one.isalnum() or one in "._-" for one in name) else ""
