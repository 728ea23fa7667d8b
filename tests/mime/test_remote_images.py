"""Pictures from elsewhere: held back, counted, and shown from an address of ours; what cannot be seen, never."""

import html as entities
import re

import pytest

from apps.mime.html import has_remote_images, sanitise_html
from apps.mime.remote_images import RemoteImages, count_remote, show_remote


def ours(address: str) -> str:
    return f"https://content.example/?of={address.rpartition('/')[2]}"


def shown(html: str) -> str:
    return show_remote(sanitise_html(html), ours)


HARMLESS = re.compile(
    r'<div( style="background-image: url\(&quot;https://content.example/\?of=a?&quot;\)")?>x</div>'
)
HELD = [
    '<img src="http://far.example/a.png">',
    '<table background="http://far.example/a.png"><tr><td>x</td></tr></table>',
    '<td background="http://far.example/a.png">x',
    '<table><tr><td background="http://far.example/a.png">x</td></tr></table>',
    '<div style="background: #fff url(http://far.example/a.png) no-repeat">x</div>',
    "<div style=\"background-image: url('http://far.example/a.png')\">x</div>",
    '<div style="background-image:url( &quot;http://far.example/a.png&quot; )">x</div>',
    '<div style="BACKGROUND:URL(http://far.example/a.png)">x</div>',
]


@pytest.mark.parametrize("html", [one for one in HELD if not one.startswith("<td")])
def test_a_picture_from_elsewhere_is_held_back_until_it_is_asked_for(html: str) -> None:
    held = sanitise_html(html)
    assert "url(" not in held
    assert ' src="' not in held
    assert ' background="' not in held
    assert has_remote_images(held)
    assert count_remote(held) == RemoteImages(pictures=1)
    assert sanitise_html(held) == held
    assert "https://content.example/?of=a.png" in shown(html)
    assert "far.example" not in shown(html)


def test_what_else_a_background_says_is_kept() -> None:
    held = sanitise_html(
        '<div style="background: #fff url(http://far.example/a.png) no-repeat; color: red">x</div>'
    )
    assert "background: #fff  no-repeat" in held
    assert "color: red" in held


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "//far.example/a",
        "http://far.example/a)b",
        "http://far.example/a'b",
        "http://far.example/\\a",
        "data:image/svg+xml,x",
        'http://far.example/a"b',
    ],
)
def test_an_address_that_could_leave_its_place_is_dropped(address: str) -> None:
    for style in (
        f"background:url({address})",
        f"--remote-background: '{address}'",
        f"--remote-background: {address}",
    ):
        html = f'<div style="{entities.escape(style)}">x</div>'
        seen = shown(html)
        assert HARMLESS.fullmatch(seen), seen


def test_addresses_with_queries_come_through_whole() -> None:
    asked: list[str] = []

    def address_of(address: str) -> str:
        asked.append(address)
        return 'x"><script>'

    held = sanitise_html(
        '<img src="http://far.example/a?b=1&amp;c=2"><p style="background-image:url(http://far.example/a?b=1&amp;c=2)">y</p>'
    )
    assert "<script>" not in show_remote(held, address_of)
    assert asked == ["http://far.example/a?b=1&c=2"] * 2


@pytest.mark.parametrize(
    "attributes",
    [
        'width="1" height="1"',
        'width="0"',
        "height=1",
        'style="width:1px;height:1px"',
        'style="display:none" width="600"',
        'style="display: none !important"',
        'width=" 1px" height="2"',
    ],
)
def test_what_cannot_be_seen_is_never_fetched(attributes: str) -> None:
    held = sanitise_html(
        f'<img src="http://spy.example/p.gif" {attributes}><img src="http://far.example/a.png">'
    )
    assert count_remote(held) == RemoteImages(pictures=1, trackers=1)
    assert shown(held).count("https://content.example") == 1


@pytest.mark.parametrize(
    "attributes", ["", 'width="600" height="1"', 'width="1%"', 'width="100" style="height: auto"']
)
def test_a_line_or_a_picture_without_a_size_is_a_picture(attributes: str) -> None:
    held = sanitise_html(f'<img src="http://far.example/a.png" {attributes}>')
    assert count_remote(held) == RemoteImages(pictures=1)
