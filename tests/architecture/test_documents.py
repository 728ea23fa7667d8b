"""What the documents name is there, and what may be set is told wherever settings are told."""

import re
from pathlib import Path

import pytest

from mailplatform.environment import PROJECT_ROOT, Environment

DOCUMENTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
FOLDERS = ("apps", "deploy", "docs", "mailplatform", "static", "templates", "tests")
NAMED = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`")
LINKED = re.compile(r"\]\(([\w./-]+)\)")
TABLE_ROW = re.compile(r"^\| ?(`[^|]+`) ?\|", re.MULTILINE)
SETTING = re.compile(r"`([A-Z][A-Z0-9_]+)`")

SETTINGS = {
    "MAILPLATFORM_DATA_DIR" if name == "data_dir" else name.upper() for name in Environment.model_fields
}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    named = {PROJECT_ROOT / path for path in NAMED.findall(text)}
    linked = {document.parent / path for path in LINKED.findall(text)}
    assert [str(path) for path in named | linked if not path.exists()] == []


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_a_document_tells_every_setting_and_no_other(document: str) -> None:
    rows = TABLE_ROW.findall((PROJECT_ROOT / document).read_text())
    assert {name for row in rows for name in SETTING.findall(row)} == SETTINGS
