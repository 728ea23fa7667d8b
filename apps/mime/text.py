"""Readable text from sanitised HTML, for mail that comes without a text of its own."""

import re

from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.html_engine import Inscriptis
from inscriptis.html_properties import Display
from inscriptis.model.config import ParserConfig
from inscriptis.model.html_element import HtmlElement as ElementStyle
from lxml import etree  # type: ignore[import-untyped]
from lxml.html import HtmlElement, document_fromstring  # type: ignore[import-untyped]

from apps.mime.clean import clean_text

MAX_TEXT_CHARS = 2_000_000
# Deeper quotations are old; rendering each level anew must stay cheap.
_MAX_QUOTE_DEPTH = 12

_STYLES = {**CSS_PROFILES["strict"], "table": ElementStyle(display=Display.block)}
_CONFIG = ParserConfig(css=_STYLES, display_images=True)
# It shows nothing, and libxml2, which does not know it, puts all that follows into it until that is too deep and cut.
_WBR = re.compile(r'<wbr(?: [a-z-]+="[^"]*")*>')
_BLANK_RUN = re.compile(r"\n{3,}")


def html_to_text(sanitised: str) -> str:
    """The text of sanitised HTML (it must be: its depth is bounded), quotations marked with `> ` line by line."""
    if not sanitised.strip():
        return ""
    try:
        tree = document_fromstring(_WBR.sub("", sanitised))
    except etree.ParserError:
        # lxml calls a document without any element or text an error.
        return ""
    for table in tree.iter("table"):
        # inscriptis lets a table go on in the line of the text before it.
        table.addprevious(etree.Element("br"))
    for quotation in reversed(list(tree.iter("blockquote"))):
        if sum(1 for _ in quotation.iterancestors("blockquote")) < _MAX_QUOTE_DEPTH:
            _mark_quotation(quotation)
    return _rendered(tree)


def _mark_quotation(quotation: HtmlElement) -> None:
    """Replace a quotation by its text with `> ` before each line: the form in which `quotes` recognises it."""
    tail, quotation.tail = quotation.tail, None
    lines = _rendered(quotation).split("\n")
    marked = etree.Element("pre")
    marked.text = "\n".join(f"> {line}".rstrip() for line in lines)
    marked.tail = tail
    parent = quotation.getparent()
    if parent is not None:
        parent.replace(quotation, marked)


def _rendered(tree: HtmlElement) -> str:
    text = Inscriptis(tree, _CONFIG).get_text()[:MAX_TEXT_CHARS]
    # Line by line: a pattern for blanks at line ends is quadratic in the wide gaps that tables leave.
    lines = (line.rstrip() for line in clean_text(text).split("\n"))
    return _BLANK_RUN.sub("\n\n", "\n".join(lines)).strip("\n")
