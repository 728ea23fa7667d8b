"""What goes over the line can be undone by any server, and can be taken for the end by none."""

import re

from hypothesis import given
from hypothesis import strategies as st

from apps.outbound.wire.payload import Payload

hostile = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"\xff", b"\0"])).map(b"".join)


@given(st.one_of(hostile, st.binary()))
def test_no_content_holds_an_end_of_data_of_any_kind(content: bytes) -> None:
    data = Payload.of(content).data
    assert data.endswith(b"\r\n")
    assert not data.startswith(b".\r\n")
    for end in (b"\r\n.\r\n", b"\n.\n", b"\n.\r", b"\r.\r"):
        assert end not in data
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", data) is None


@given(st.lists(st.binary().filter(lambda line: b"\r" not in line and b"\n" not in line), min_size=1))
def test_clean_content_arrives_as_it_is(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    sent = Payload.of(content).data.split(b"\r\n")
    # RFC 5321 §4.5.2: the receiver takes one dot off every line that begins with one.
    received = b"\r\n".join(line[1:] if line.startswith(b".") else line for line in sent)
    assert received == content
