"""Workbooks that are made to break who reads them."""

import io
import resource
import time
import zipfile
from collections.abc import Iterator

import openpyxl
import pytest

from libs.common.errors import Invalid
from services.records.domain import workbooks
from services.records.domain.tables import MAX_COLUMNS, Bad, open_table

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SHEET = "xl/worksheets/sheet1.xml"
TEXTS = "xl/sharedStrings.xml"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"


def remade(name: str, pieces: Iterator[bytes]) -> io.BytesIO:
    """A workbook with one part replaced."""
    book, plain, made = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for row in (["name", "score"], ["Ada", 1]):
        book.worksheets[0].append(row)
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        types = old.read("[Content_Types].xml")
        override = f'<Override PartName="/{TEXTS}" ContentType="{TYPE}"/></Types>'.encode()
        parts = {it: iter((old.read(it),)) for it in old.namelist()}
        parts |= {"[Content_Types].xml": iter((types.replace(b"</Types>", override),)), TEXTS: empty(), name: pieces}
        for part, content in parts.items():
            with new.open(part, "w") as out:
                for piece in content:
                    out.write(piece)
    made.seek(0)
    return made


def empty() -> Iterator[bytes]:
    """No texts."""
    yield f'<sst xmlns="{MAIN}"/>'.encode()


def part(root: str, begin: bytes, unit: bytes, times: int) -> Iterator[bytes]:
    """XML that says one thing over and over."""
    yield f'<{root} xmlns="{MAIN}">'.encode() + begin
    for _ in range(times):
        yield unit * 1000
    yield f"</{root}>".encode()


BOMBS = {
    "styles": ("xl/styles.xml", part("styleSheet", b"<cellXfs>", b"<xf/>", 4_000)),
    "text": (TEXTS, part("sst", b"", b"<si><t>a</t></si>", 200)),
    "elements in texts": (TEXTS, part("sst", b"<si>", b"<r/>", 4_000)),
    "elements before rows": (SHEET, part("worksheet", b"", b"<x/>", 8_000)),
    "one row": (SHEET, part("worksheet", b"<sheetData><row>", b"<c/>", 8_000)),
    "one cell": (SHEET, part("worksheet", b'<sheetData><row><c t="inlineStr"><is><t>', b"a" * 50, 8_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_no_more_memory_than_a_workbook(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to hundreds of megabytes of elements is refused long before they are in memory."""
    monkeypatch.setattr(workbooks, "MAX_TEXTS", 100_000)
    file = remade(*BOMBS[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Invalid) as refused:
        list(open_table(file, "xlsx").rows)
    assert refused.value.code == "too-large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024


def test_rows_that_are_said_to_be_far_apart_are_read_at_once() -> None:
    """A sheet that says it is a million rows by sixteen thousand columns large is as large as what it holds."""
    rows = (
        b'<row r="1"><c t="inlineStr"><is><t>name</t></is></c></row><row r="1048570"><c r="A1048570"><v>7</v></c></row>'
    )
    sheet = f'<worksheet xmlns="{MAIN}"><dimension ref="A1:XFD1048576"/><sheetData>'.encode()
    began = time.thread_time()
    table = open_table(remade(SHEET, iter((sheet, rows, b"</sheetData></worksheet>"))), "xlsx")
    assert (table.columns, list(table.rows)) == (("name",), [{"name": 7}])
    assert time.thread_time() - began < 5


def test_a_row_that_is_too_wide_is_a_bad_one() -> None:
    """A cell in the last column of all makes its row bad, not the file, and what is shown of it is bounded."""
    rows = b'<row><c t="inlineStr"><is><t>name</t></is></c></row><row><c r="XFD2"><v>7</v></c></row>'
    pieces = iter((f'<worksheet xmlns="{MAIN}"><sheetData>'.encode(), rows, b"</sheetData></worksheet>"))
    (row,) = open_table(remade(SHEET, pieces), "xlsx").rows
    assert isinstance(row, Bad)
    assert row.code == "too_many_cells"
    assert row.text.count(",") < MAX_COLUMNS
