"""Join the lines of `format=flowed` text (RFC 3676), so that a paragraph is one line again."""


def unflow(text: str, *, delete_space: bool) -> str:
    """RFC 3676 §4: a line that ends in a space goes on in the next line of the same quote depth.

    `delete_space` is the DelSp parameter: the space itself was added for flowing. The signature separator
    `-- ` never flows (§4.3), and one leading space is stuffing (§4.4).
    """
    paragraphs: list[tuple[int, list[str]]] = []
    flowing = False
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        if not content.startswith(" >"):  # stuffed so as not to look quoted; it must not begin to now
            content = content.removeprefix(" ")
        if not (flowing and paragraphs[-1][0] == depth and content != "-- "):
            paragraphs.append((depth, []))
        flowing = content.endswith(" ") and content != "-- "
        paragraphs[-1][1].append(content[:-1] if flowing and delete_space else content)
    return "\n".join(_quoted(depth, "".join(pieces)) for depth, pieces in paragraphs)


def _quoted(depth: int, content: str) -> str:
    return ">" * depth + " " + content if depth else content
