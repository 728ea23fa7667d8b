"""Broken bytes out of whole ones: what a mail looks like after a bad gateway, a bad program, or somebody with time."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

# What parsers of mail and of SMTP trip over, put anywhere.
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\x00", b"\r\n.\r\n", b"\r\n\r\n", b"\r\n ", b"\xff\xfe", b"\xed\xa0\x80", b"\xe2\x80\xae",
    b"=?utf-8?q?=0a?=", b"=?x?b?/?=", b"Content-Type: multipart/mixed; boundary=x\r\n", b"--x\r\n", b"--x--",
    b"Content-Transfer-Encoding: base64\r\n", b"charset=utf-7", b"begin 644 x\r\n", b"a" * 5000, b"From ",
    b"<", b">", b'"', b"\\", b"(", b";", b":", b"<svg>", b"<!--",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One change at a place given as a share of the length, so that it means something for any input."""

    kind: str
    at: float
    length: int
    token: bytes

    def apply(self, content: bytes, other: bytes) -> bytes:
        start = int(self.at * len(content))
        end = min(len(content), start + self.length)
        middle = {
            "delete": b"",
            "insert": self.token + content[start:end],
            "replace": self.token,
            "repeat": content[start:end] * 5,
            "reverse": content[start:end][::-1],
            "flip": bytes(byte ^ 0x80 for byte in content[start:end]),
            "splice": other[start % (len(other) + 1) :][: self.length * 8],
        }[self.kind]
        return content[:start] + middle + content[end:]


changes = st.builds(
    Change,
    st.sampled_from(["delete", "insert", "replace", "repeat", "reverse", "flip", "splice"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 400),
    st.one_of(st.sampled_from(TOKENS), st.binary(max_size=30)),
)


def mutated(seeds: Sequence[bytes], *, at_most: int = 12) -> st.SearchStrategy[bytes]:
    """One of the seeds after some changes, at times with pieces of another one."""

    def build(content: bytes, other: bytes, applied: list[Change]) -> bytes:
        for change in applied:
            content = change.apply(content, other)
        return content

    chosen = st.sampled_from(seeds)
    return st.builds(build, chosen, chosen, st.lists(changes, min_size=1, max_size=at_most))
