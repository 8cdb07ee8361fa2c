"""Tables to take away, written piece by piece: CSV (RFC 4180), NDJSON, XLSX (ECMA-376)."""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias
from xml.sax.saxutils import escape

import msgspec

Format = Literal["csv", "ndjson", "xlsx"]
Cell: TypeAlias = str | int | float | bool | None

MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
MAX_SHEET_ROWS = 1_048_576
MAX_CELL = 32_767

_SIGNS = "=+@\uff0b\uff0d\uff1d\uff20-"
_NUMBER = r"[+-]?[0-9][0-9 .,()/:-]*"
_FORMULA = re.compile(
    rf"^(?!{_NUMBER}$)(?=[\t\r]|\s*[{_SIGNS}])|(?<=[;\t\r\n])(?!\s*{_NUMBER}(?:[;\t\r\n]|$))(?=[ ]*[{_SIGNS}])"
)
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Sheet(Protocol):
    """Something that rows are written to; each call gives the bytes that are ready."""

    def begin(self, columns: Sequence[str]) -> bytes:
        """The beginning, with the names of the columns."""
        ...

    def rows(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Some rows."""
        ...

    def end(self) -> bytes:
        """The end."""
        ...


def harmless(cell: Cell) -> Cell:
    """Text that no spreadsheet takes for a formula, by an apostrophe before what looks like one (OWASP, "CSV
    Injection"): at its beginning, and after what separates cells where commas do not.
    """
    return _FORMULA.sub("'", cell) if isinstance(cell, str) else cell


def cell_of(value: Any) -> Cell:
    """A value of a field in one cell, as an import reads it back."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(isinstance(i, str) and i[:1] not in '[{"' and ";" not in i for i in value):
        return ";".join(value) + (";" if len(value) == 1 and "," in value[0] else "")
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return msgspec.json.encode(value).decode()


class CsvSheet:
    """CSV in UTF-8, with a byte order mark where that was asked for, which old spreadsheets need."""

    def __init__(self, *, bom: bool, guard: bool) -> None:
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text)
        self._bom = b"\xef\xbb\xbf" if bom else b""
        self._guard = guard

    def begin(self, columns: Sequence[str]) -> bytes:
        """The names of the columns."""
        return self._bom + self.rows([columns])

    def rows(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Some rows."""
        for row in rows:
            cells = [harmless(cell) for cell in row] if self._guard else row
            self._writer.writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in cells])
        found = self._text.getvalue().encode("utf-8", "replace")
        self._text.seek(0)
        self._text.truncate()
        return found

    def end(self) -> bytes:
        """Nothing."""
        return b""


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found


class XlsxSheet:
    """A workbook written from its beginning to its end; rows beyond what a sheet holds go into further ones."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._columns: Sequence[str] = ()
        self._sheets = 0
        self._rows = 0
        self._open: Any = None

    def begin(self, columns: Sequence[str]) -> bytes:
        """The names of the columns."""
        self._columns = columns
        self._next_sheet()
        return self._sink.take()

    def rows(self, rows: Iterable[Sequence[Cell]]) -> bytes:
        """Some rows."""
        lines: list[str] = []
        for row in rows:
            if self._rows >= MAX_SHEET_ROWS:
                self._write(lines)
                lines = []
                self._next_sheet()
            self._rows += 1
            lines.append(f"<row>{''.join(map(_xml_cell, row))}</row>")
        self._write(lines)
        return self._sink.take()

    def end(self) -> bytes:
        """What names the sheets."""
        self._close_sheet()
        for name, text in _parts(self._sheets).items():
            self._archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{text}')
        self._archive.close()
        return self._sink.take()

    def _next_sheet(self) -> None:
        self._close_sheet()
        self._sheets += 1
        self._open = self._archive.open(f"xl/worksheets/sheet{self._sheets}.xml", "w", force_zip64=True)
        head = f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><worksheet xmlns="{_MAIN}"><sheetData>'
        self._write([head, f"<row>{''.join(map(_xml_cell, self._columns))}</row>"])
        self._rows = 1

    def _close_sheet(self) -> None:
        if self._open is not None:
            self._write(["</sheetData></worksheet>"])
            self._open.close()

    def _write(self, lines: list[str]) -> None:
        self._open.write("".join(lines).encode())


def _xml_cell(cell: Cell) -> str:
    if cell is None:
        return "<c/>"
    if isinstance(cell, bool):
        return f'<c t="b"><v>{int(cell)}</v></c>'
    if isinstance(cell, int | float):
        return f"<c><v>{cell!r}</v></c>"
    text = escape(_NO_XML.sub("\ufffd", cell[:MAX_CELL]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _parts(sheets: int) -> dict[str, str]:
    numbers = range(1, sheets + 1)
    named = "".join(f'<sheet name="Records {n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    typed = "".join(
        f'<Override PartName="/xl/worksheets/sheet{n}.xml" ContentType="{_SPREADSHEET}.worksheet+xml"/>'
        for n in numbers
    )
    return {
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{related}</Relationships>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        'ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
        f'ContentType="{_SPREADSHEET}.sheet.main+xml"/>'
        f"{typed}</Types>",
    }
