"""Hostile HTML by the piece: public vectors where they lie beside the project, and our own by combination."""

import itertools
from collections.abc import Iterator
from pathlib import Path

_END = "//[\"'`-->]]>]</div>"
_CORPUS = "shared/corpus/html/h5sc-vectors.txt"
_OURS = Path(__file__).with_name("attacks.txt")

_TAGS = (
    "div",
    "img src=x",
    "a href=x",
    "details open",
    "table background=x",
    "svg",
    "video src=x",
    "body",
    "math",
)
_FAR = "http://far.example"
_EVENTS_AT_ONCE = 16


def generated() -> Iterator[str]:
    """Every event on every tag, every way of fetching, styles that fetch or leave their place, and ways out."""
    names = events()
    some = [names[at : at + _EVENTS_AT_ONCE] for at in range(0, len(names), _EVENTS_AT_ONCE)]
    for tag, group in itertools.product(_TAGS, some):
        yield f"<{tag} {' '.join(f'on{event}=alert(1)' for event in group)}>x"
    ours = _sections()
    yield from (one.replace("{u}", f"{_FAR}/f{n}") for n, one in enumerate(ours["fetching"]))
    for n, style in enumerate(one.replace("{u}", f"{_FAR}/s") for one in ours["styles"]):
        yield f'<div style="{style}">style {n}</div>'
        yield f'<span style="{style} !important">{n}</span><table style="{style}"><tr><td>x</table>'
    yield from ours["ways out"]


def events() -> list[str]:
    """What is fired at every element."""
    return " ".join(_sections()["events"]).split()


def published() -> list[str]:
    """The vectors of html5sec.org, where the corpus lies beside the project; none elsewhere."""
    for folder in Path(__file__).resolve().parents:
        file = folder / _CORPUS
        if file.is_file():
            text = file.read_text(errors="replace").partition(">>> vectors()")[2]
            return [f"{one}</div>" for one in text.split(_END) if one.strip()]
    return []


def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    name = ""
    for line in _OURS.read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            sections[name] = []
        elif line and not line.startswith("#"):
            sections[name].append(line)
    return sections
