"""Office documents, RTF and pages: what acts by itself is found, and what waits for its reader is let through."""

import struct
import zlib

import pytest

from apps.screening.walk import look_through
from tests.screening.files import PE, compound, mail_with, ole_package, vba_project, workbook, zipped
from tests.screening.looking import OPENS, WAITS, codes


@pytest.mark.parametrize(
    "body",
    [
        OPENS,
        "Private Sub Document_Open()\r\nEnd Sub\r\n",
        "sub workbook_open\r\nend sub\r\n",
        "Public Sub _\r\n  Auto_Open()\r\nEnd Sub\r\n",
        "' " + "x" * 9000 + "\r\nSub Auto_Close()\r\nEnd Sub\r\n",
        "Private Sub InkPicture1_Painted(ByVal hDC As Long)\r\nEnd Sub\r\n",
    ],
)
def test_macros_that_run_on_open_are_found_in_old_and_new_documents(body: str) -> None:
    project = vba_project(body)
    assert codes(("old.doc", project)) == ["macro_on_open"]
    assert codes(("new.docm", zipped({"word/document.xml": b"<w/>", "word/vbaProject.bin": project}))) == [
        "macro_on_open"
    ]
    assert codes(("new.docx", zipped({"word/document.xml": b"<w/>", "word/other.bin": project}))) == [
        "macro_on_open"
    ]


def test_a_macro_is_told_of_the_document_its_writer_knows() -> None:
    (finding,) = look_through(mail_with(("new.docm", zipped({"word/vbaProject.bin": vba_project(OPENS)}))))
    assert finding.where == ("new.docm",)


def test_macros_that_wait_for_a_click_may_be_sent() -> None:
    assert (
        codes(("sums.xlsm", zipped({"xl/workbook.xml": b"<w/>", "xl/vbaProject.bin": vba_project(WAITS)})))
        == []
    )
    assert codes(("sums.xls", vba_project(WAITS + "' AutoOpen was here once\r\n"))) == []


def test_a_macro_whose_text_was_replaced_is_known_by_its_names() -> None:
    stomped = vba_project(WAITS, identifiers=["Word", "VBA", "AutoOpen", "Shell"])
    (finding,) = look_through(mail_with(("a.doc", stomped)))
    assert (finding.code, finding.detail) == ("macro_hidden", "AutoOpen")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (workbook(macro_sheet=True), ["macro_on_open"]),
        (workbook(macro_sheet=True, name=b"auto_open1", built_in=False), ["macro_on_open"]),
        (workbook(macro_sheet=True, name=b"total", built_in=False), []),
        (workbook(macro_sheet=False), []),
    ],
)
def test_old_excel_macros_are_found_by_their_sheet_and_the_name_that_starts_them(
    stream: bytes, expected: list[str]
) -> None:
    assert codes(("a.xls", compound({"Workbook": stream.ljust(5000, b"\0")}))) == expected


def test_so_are_those_of_excel_5() -> None:
    old = (
        workbook(macro_sheet=True)
        .replace(b"\0\x01\x0a\0\0\0", b"\x01\x0a\0\0\0")
        .replace(struct.pack("<HH", 0x18, 16), struct.pack("<HH", 0x18, 15))
    )
    assert codes(("a.xls", compound({"Book": old.ljust(5000, b"\0")}))) == ["macro_on_open"]


def test_old_macros_in_a_new_workbook_are_found() -> None:
    named = b'<definedNames><definedName name="_xlnm.Auto_Open">Macro1!$A$1</definedName></definedNames>'
    parts = {"xl/workbook.xml": named, "xl/macrosheets/sheet1.xml": b"<m/>"}
    assert codes(("a.xlsm", zipped(parts))) == ["macro_on_open"]
    assert codes(("a.xlsm", zipped({"xl/workbook.xml": named, "xl/worksheets/sheet1.xml": b"<m/>"}))) == []


def test_a_program_laid_into_a_document_is_found() -> None:
    document = compound({"\1Ole10Native": ole_package("invoice.pdf", PE)})
    (finding,) = look_through(mail_with(("letter.doc", document)))
    assert (finding.code, finding.where) == ("program", ("letter.doc", "invoice.pdf"))


def test_a_presentation_keeps_its_macros_packed() -> None:
    packed = zlib.compress(vba_project(OPENS))
    record = b"\x10\x00\x11\x10" + struct.pack("<II", len(packed) + 4, 0) + packed
    assert codes(("a.ppt", compound({"PowerPoint Document": bytes(100) + record + bytes(4000)}))) == [
        "macro_on_open"
    ]


def test_a_document_that_leads_to_a_program_is_refused() -> None:
    leads = b"\x4b\0\0\0\x02\0calc.exe\0C:\\Windows\\calc.exe\0\0\0\x01\0\x01\0C:\\Windows\\calc.exe\0"
    assert codes(("a.doc", compound({"\1Ole10Native": leads}))) == ["program"]


def test_an_installer_is_known_by_its_class() -> None:
    clsid = bytes.fromhex("84100c0000000000c000000000000046")
    assert codes(("readme.doc", compound({"Property": b"x"}, clsid=clsid))) == ["installer"]


def test_text_that_updates_its_objects_by_itself_is_refused() -> None:
    assert codes(("a.doc", b"{\\rtf1{\\object\\objautlink\\objupdate{\\*\\objdata 0105}}}")) == [
        "active_document"
    ]
    assert codes(("a.rtf", b"{\\rtf1{\\object\\objemb{\\*\\objdata 0105}}}")) == []
    assert codes(("specification.rtf", b"{\\rtf1 Write \\\\objdata and \\\\objupdate.}")) == []


def test_a_page_that_unpacks_a_program_is_refused_and_one_that_makes_a_chart_is_not() -> None:
    payload = "TVqQ" + "A" * 600
    smuggles = (
        f"<script>var b='{payload}';var u=URL.createObjectURL(new Blob([atob(b)]));"
        "var a=document.createElement('a');a.href=u;a.download='x.exe';a.click();</script>"
    )
    chart = (
        f"<script>var png='iVBORw0KGgo{payload}';var u=URL.createObjectURL(new Blob([atob(png)]));"
        "a.download='chart.png';a.click();</script>"
    )
    assert codes(("invoice.html", smuggles.encode())) == ["html_smuggling"]
    assert codes(("chart.html", chart.encode())) == []
