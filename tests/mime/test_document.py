"""What the editor hands over: taken as far as its tables go, and written out as HTML and as text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.document import (
    MAX_DEPTH,
    DocumentInvalid,
    document_of,
    document_of_text,
    read_document,
)
from apps.mime.html import sanitise_html


def text(words: str, *marks: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, "marks": [{"type": m} if isinstance(m, str) else m for m in marks]}


def node(kind: str, *content: Any, **attrs: Any) -> dict[str, Any]:
    return {"type": kind, "attrs": attrs, "content": list(content)}


def paragraph(*words: Any) -> dict[str, Any]:
    return node("paragraph", *(text(one) if isinstance(one, str) else one for one in words))


def link(href: Any) -> dict[str, Any]:
    return {"type": "link", "attrs": {"href": href, "target": "_blank"}}


def test_everything_of_the_editor_is_written_out_with_styles_on_the_elements() -> None:
    cell = node("tableCell", paragraph("19.00"), colspan=2)
    written = document_of(
        node(
            "doc",
            node("heading", text("Plan"), level=2),
            paragraph(
                "Dear ",
                text("Elena", "bold", "italic"),
                node("hardBreak"),
                text("see", link("https://x.example")),
            ),
            node("bulletList", node("listItem", paragraph("one")), node("listItem", paragraph("two"))),
            node("orderedList", node("listItem", paragraph("third")), start=3),
            node("blockquote", paragraph("said")),
            node("codeBlock", text("a < b")),
            node("table", node("tableRow", node("tableHeader", paragraph("Price")), cell)),
            paragraph(node("image", cid="p1@house.test", alt="A plan", width=640)),
        )
    )
    assert (
        "<strong><em>Elena</em></strong>" in written.html or "<em><strong>Elena</strong></em>" in written.html
    )
    assert '<a href="https://x.example">see</a>' in written.html
    assert '<ol start="3" style="' in written.html
    assert "a &lt; b" in written.html
    assert '<td colspan="2" style="' in written.html
    assert '<img src="cid:p1@house.test" alt="A plan" width="640"' in written.html
    assert "class=" not in written.html
    assert written.text == (
        "Plan\n\nDear Elena\nsee <https://x.example>\n\n- one\n- two\n\n3. third\n\n> said\n\na < b\n\n"
        "Price | 19.00\n\n[A plan]"
    )
    assert written.pictures == {"p1@house.test"}


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {"type": "script"},
        node("doc", node("iframe")),
        node("doc", text("bare")),
        node("doc", node("paragraph", paragraph("nested"))),
        node("doc", node("bulletList", paragraph("no item"))),
        node("doc", node("codeBlock", node("image", cid="a@b"))),
        node("doc", paragraph({"type": "text", "text": 7})),
        node("doc", paragraph(text("x", "blink"))),
        node("doc", paragraph(node("image", cid='" onerror="x'))),
        node("doc", paragraph(node("image", src="https://x.example/a.png"))),
        {"type": "doc", "content": {"0": 1}},
    ],
)
def test_what_the_editor_does_not_make_is_refused(tree: Any) -> None:
    with pytest.raises(DocumentInvalid):
        document_of(tree)


def test_depth_size_and_nonsense_are_bounded() -> None:
    deep = paragraph("x")
    for _ in range(MAX_DEPTH + 2):
        deep = node("blockquote", deep)
    for source in ("{", "1" * 2_100_000, "[" * 100_000):
        with pytest.raises(DocumentInvalid):
            read_document(source)
    with pytest.raises(DocumentInvalid, match="too many"):
        document_of(node("doc", deep))


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "data:text/html,x", " java\nscript:x", "//x", 7, None, ""]
)
def test_a_link_that_leads_nowhere_safe_is_text(href: Any) -> None:
    written = document_of(node("doc", paragraph(text("here", link(href)))))
    assert "<a" not in written.html
    assert written.text == "here"


@given(st.text(min_size=1), st.text())
def test_no_words_become_markup(words: str, alt: str) -> None:
    image = node("image", cid="a@b", alt=alt)
    written = document_of(node("doc", paragraph(text(words), image)))
    assert written.html.count("<") == written.html.count(">") == 3
    cleaned = sanitise_html(written.html)
    assert cleaned.count("<p") == 1
    assert cleaned.count("<img") == 1


def test_blank_lines_of_the_writer_stay_and_are_not_doubled() -> None:
    spaced = document_of(node("doc", paragraph("one"), node("paragraph"), paragraph("two")))
    assert spaced.text == "one\n\ntwo"
    assert document_of_text("one\r\ntwo\n\n\nthree").text == "one\ntwo\n\nthree"
    assert document_of_text("").is_empty
