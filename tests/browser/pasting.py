"""What the clipboard holds, given to the editor as a browser does it."""

import base64

from playwright.sync_api import Page

_HTML = """(html) => {
  const data = new DataTransfer();
  data.setData("text/html", html);
  document.querySelector(".written").dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""
_PICTURE = """(base64) => {
  const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "plan.png", { type: "image/png" }));
  document.querySelector(".written").dispatchEvent(
    new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


def paste_html(page: Page, html: str) -> None:
    page.evaluate(_HTML, html)


def paste_picture(page: Page, content: bytes) -> None:
    """As plan.png."""
    page.evaluate(_PICTURE, base64.b64encode(content).decode())
