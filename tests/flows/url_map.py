"""Every address the product answers, read from the URL configurations themselves.

A test that walks this map meets each new address on the day it is added, and fails until it is taught what to put into
a parameter it has never seen.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
# The only patterns that are regular expressions, each with an address it matches.
REGULAR_EXPRESSIONS = {"api/^": "api/nowhere"}


@dataclass(frozen=True)
class Address:
    """A route as it is written, such as `api/v1/tickets/<uuid:ticket_id>`, on one of the two origins."""

    route: str
    name: str
    on_content_origin: bool = False

    def __str__(self) -> str:
        return f"{'content:' if self.on_content_origin else ''}/{self.route}"

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.route)

    @property
    def is_api(self) -> bool:
        return self.route.startswith("api/v1/")

    def path(self, values: Mapping[str, Callable[["Address"], object]]) -> str:
        """The address with every parameter filled in. Fails for a parameter nobody taught."""
        unknown = [name for name in self.parameters if name not in values]
        assert not unknown, f"{self}: teach this walk what to put into {unknown}"
        return "/" + PARAMETER.sub(lambda found: str(values[found[1]](self)), self.route)


def addresses() -> list[Address]:
    """All of both origins."""
    pages = list(_walk(get_resolver(settings.ROOT_URLCONF).url_patterns, "", on_content_origin=False))
    content = list(_walk(get_resolver(settings.CONTENT_URLCONF).url_patterns, "", on_content_origin=True))
    assert len(pages) > 20
    return pages + content


def _walk(patterns: Sequence[Any], prefix: str, *, on_content_origin: bool) -> Iterator[Address]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route, on_content_origin=on_content_origin)
        else:
            assert isinstance(pattern, URLPattern)
            if not hasattr(pattern.pattern, "_route"):
                assert route in REGULAR_EXPRESSIONS, f"{route}: teach this walk an address it matches"
                route = REGULAR_EXPRESSIONS[route]
            yield Address(route, pattern.name or "", on_content_origin)
