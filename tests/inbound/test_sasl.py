"""What clients say after AUTH, whatever it is: credentials or a refusal, and never anything else."""

import asyncio
import base64
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.inbound.errors import CommandRefused
from apps.inbound.sasl import Credentials, hear_credentials


class Said:
    """Stands for a session whose client answers challenges with these lines."""

    def __init__(self, *lines: bytes) -> None:
        self._lines: Iterator[bytes] = iter(lines)
        self.challenges: list[str] = []

    async def challenge(self, text: str) -> bytes:
        self.challenges.append(text)
        return next(self._lines, b"*")


def hear(argument: str, *lines: bytes) -> Credentials:
    return asyncio.run(hear_credentials(Said(*lines), argument))  # type: ignore[arg-type]


@given(st.text(max_size=60), st.lists(st.binary(max_size=60), max_size=3))
@example("PLAIN", [b""])
@example("PLAIN =", [])
@example("LOGIN =", [b""])
@example("plain \udcff", [])
@example("LOGIN", [b"/w==", b"/w=="])
def test_whatever_is_said_it_is_credentials_or_a_refusal(argument: str, lines: list[bytes]) -> None:
    for said in (argument, f"PLAIN {argument}", f"LOGIN {argument}"):
        try:
            credentials = hear(said, *lines)
        except CommandRefused as refused:
            assert refused.reply[:3] in {"501", "504"}
        else:
            assert isinstance(credentials, Credentials)


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)
def test_both_mechanisms_say_the_same(username: str, secret: str) -> None:
    plain = base64.b64encode(f"\0{username}\0{secret}".encode())
    name, word = base64.b64encode(username.encode()), base64.b64encode(secret.encode())
    wanted = Credentials(username, secret)
    assert hear("PLAIN", plain) == hear(f"PLAIN {plain.decode()}") == hear("LOGIN", name, word) == wanted


def test_a_secret_is_in_no_repr() -> None:
    assert "hidden" not in repr(Credentials("anna", "hidden"))


@pytest.mark.parametrize("line", [b"*", b" * "])
def test_a_star_takes_it_back(line: bytes) -> None:
    with pytest.raises(CommandRefused, match="Taken back"):
        hear("PLAIN", line)
