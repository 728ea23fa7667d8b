"""Documents of the editor for tests."""

from typing import Any


def document(*paragraphs: str) -> dict[str, Any]:
    content = [{"type": "paragraph", "content": [{"type": "text", "text": one}]} for one in paragraphs]
    return {"type": "doc", "content": content}


def with_picture(cid: str) -> dict[str, Any]:
    image = {"type": "image", "attrs": {"cid": cid, "alt": "A plan"}}
    return {"type": "doc", "content": [{"type": "paragraph", "content": [image]}]}
