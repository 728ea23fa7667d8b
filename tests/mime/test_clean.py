from hypothesis import given
from hypothesis import strategies as st

from apps.mime.clean import clean_filename, clean_line, clean_text


def test_text_keeps_its_lines_and_loses_what_postgresql_refuses() -> None:
    assert clean_text("one\r\n\ttwo\x00\ud800\x1b three") == "one\r\n\ttwo three"


def test_a_line_break_in_a_subject_becomes_a_space() -> None:
    assert clean_line("Hello\r\nBcc: everyone@example.org") == "Hello Bcc: everyone@example.org"


def test_a_bidirectional_override_cannot_disguise_a_name() -> None:
    assert clean_filename("invoice\u202efdp.exe") == "invoicefdp.exe"


def test_a_path_in_a_file_name_is_cut_to_its_last_component() -> None:
    assert clean_filename("\x00../../etc/passwd") == "passwd"
    assert clean_filename("C:\\Users\\anna\\cv.docx") == "cv.docx"
    assert clean_filename("../..") == ""


def test_a_long_file_name_keeps_its_extension() -> None:
    name = clean_filename("a" * 500 + ".tar.xz")
    assert len(name) == 200
    assert name.endswith(".xz")


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_cleaned_line_is_one_short_storable_line(value: str, max_chars: int) -> None:
    line = clean_line(value, max_chars)
    assert len(line) <= max_chars
    assert len(line.splitlines()) <= 1
    assert "\x00" not in line
    line.encode()  # raises for a lone surrogate


@given(st.text())
def test_a_cleaned_file_name_is_safe_to_write(value: str) -> None:
    name = clean_filename(value)
    assert not set(name) & set('/\\:*?"<>|\x00\r\n')
    assert name not in {".", ".."}
    assert clean_filename(name) == name
