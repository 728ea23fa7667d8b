"""Pictures from elsewhere in sanitised HTML: how many were held back, and the same HTML with them shown.

The sanitiser keeps their addresses where no browser looks for one. Whoever asks to see them gets them from an address
of ours (`show_remote`): the reader's browser never asks the sender's server.

What cannot be seen is there to tell its sender who opened a mail, and when. It is left out, whoever asks for the
others: an image of at most `SPECK` pixels, or one that is not displayed. Limits: only those that say so in the HTML are
known before they are fetched.
"""

import html as entities
import re
from collections.abc import Callable
from dataclasses import dataclass

SPECK = 2

# Over the sanitiser's own output, where every attribute is double-quoted and no text holds a bare "<".
_TAG = re.compile(r'<([a-z0-9]+)((?: [a-z-]+="[^"]*")+)>')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')
_HELD_STYLE = re.compile(
    r"--remote-background: &quot;(https?://[^&\"]*(?:&amp;[^&\"]*)*)&quot;", re.IGNORECASE
)
_SIZE_IN_STYLE = re.compile(
    r"(?:^|;) ?(?:max-)?(width|height): (\d{1,6})(?:\.\d{1,6})?(?:px)? ?(?:!important)?(?=;|$)"
)
_NOT_DISPLAYED = re.compile(r"(?:^|;) ?display: none")
_NUMBER = re.compile(r"\s*(\d{1,6})")


@dataclass(frozen=True, slots=True)
class RemoteImages:
    """How many pictures there are to see, and how many that only tell their sender that somebody looked."""

    pictures: int = 0
    trackers: int = 0


def count_remote(sanitised: str) -> RemoteImages:
    """Those that the sanitiser held back."""
    pictures = trackers = 0
    for match in _TAG.finditer(sanitised):
        attributes = dict(_ATTRIBUTE.findall(match[2]))
        if "data-remote-src" in attributes:
            is_tracker = _is_tracker(attributes)
            trackers += is_tracker
            pictures += not is_tracker
        pictures += "data-remote-background" in attributes
        pictures += bool(_HELD_STYLE.search(attributes.get("style", "")))
    return RemoteImages(pictures, trackers)


def show_remote(sanitised: str, address_of: Callable[[str], str]) -> str:
    """The HTML with every picture but the trackers at `address_of` its address."""

    def shown(match: re.Match[str]) -> str:
        attributes = dict(_ATTRIBUTE.findall(match[2]))
        if "data-remote-src" in attributes and not _is_tracker(attributes):
            attributes["src"] = _moved(attributes.pop("data-remote-src"), address_of)
        if "data-remote-background" in attributes:
            attributes["background"] = _moved(attributes.pop("data-remote-background"), address_of)
        if "style" in attributes:
            attributes["style"] = _HELD_STYLE.sub(
                lambda held: f"background-image: url(&quot;{_moved(held[1], address_of)}&quot;)",
                attributes["style"],
            )
        return f"<{match[1]}" + "".join(f' {name}="{value}"' for name, value in attributes.items()) + ">"

    return _TAG.sub(shown, sanitised)


def _moved(escaped: str, address_of: Callable[[str], str]) -> str:
    return entities.escape(address_of(entities.unescape(escaped)))


def _is_tracker(attributes: dict[str, str]) -> bool:
    style = attributes.get("style", "")
    if _NOT_DISPLAYED.search(style):
        return True
    sizes = {name: int(size) for name, size in _SIZE_IN_STYLE.findall(style)}
    for name in ("width", "height"):
        number = _NUMBER.match(attributes.get(name, ""))
        if number and "%" not in attributes[name]:
            sizes.setdefault(name, int(number[1]))
    return bool(sizes) and all(size <= SPECK for size in sizes.values())
