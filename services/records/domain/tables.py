"""Tables that people bring as files: CSV in any encoding, NDJSON, XLSX; read row by row in constant memory.

A row that cannot be read is a `Bad` one and does not end the reading, whatever bytes the file holds. A file is read the
same way each time, so a row's number is its name.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Literal, TypeAlias

import msgspec
from chardet import EncodingEra, detect_all

from libs.common.errors import Invalid
from services.records.domain.workbooks import Workbook

Format = Literal["csv", "ndjson", "xlsx"]

MAX_ROW = 1024 * 1024
MAX_COLUMNS = 1_000
MAX_SHEET_ROWS = 1_048_576
SAMPLE = 64 * 1024
DELIMITERS = ",;\t|"

Values: TypeAlias = dict[str, object]

_QUOTED = re.compile(r'"[^"]*"')
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ud800-\udfff]")
_CONTROLS = bytes((*range(9), *range(14, 27), *range(28, 32), 127))
_SHARE_OF_TEXT = 20
"""Of so many characters of a text at most one is a control; of packed data it is every ninth."""
_OTHERS = (b"%PDF-", b"\x89PNG")
_WIDE = ("utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le")
"""Never guessed, only known by their mark: any bytes are characters of these, the ends of lines too."""
_USUAL = "Windows-1252"
_NEARLY = 0.8
"""Taken as the usual encoding of the West unless another is likelier by this much: a few accents fit its neighbours."""


class Bad(msgspec.Struct, frozen=True):
    """A row that could not be read: a stable code, why in words, and what there was of it."""

    code: str
    detail: str
    text: str = ""


class Table(msgspec.Struct, frozen=True):
    """A file that was opened: its columns (of NDJSON none are known before it is read), its rows, how it is read."""

    format: Format
    columns: tuple[str, ...]
    rows: Iterator[Values | Bad]
    encoding: str | None = None
    delimiter: str | None = None


def format_of(media_type: str, name: str, head: bytes) -> Format:
    """The format of a file by its first bytes, then by its media type and name; CSV is what nothing speaks against.

    What is called a workbook is one, or the import fails: its bytes are not read as something else.
    """
    if head.startswith(b"PK\x03\x04") or "spreadsheetml" in media_type or name.lower().endswith((".xlsx", ".xlsm")):
        return "xlsx"
    if "ndjson" in media_type or "jsonl" in media_type or name.lower().endswith((".ndjson", ".jsonl")):
        return "ndjson"
    if "csv" in media_type or name.lower().endswith((".csv", ".tsv", ".txt")):
        return "csv"
    return "ndjson" if head.lstrip().startswith(b"{") else "csv"


def open_table(file: BinaryIO, form: Format) -> Table:
    """The table that a file holds; `Invalid` where it holds none."""
    return _READERS[form](file)


def _csv(file: BinaryIO) -> Table:
    sample = file.read(SAMPLE)
    file.seek(0)
    encoding = _encoding(sample)
    if encoding != "utf-16" and _packed(sample):
        raise _no_csv()
    errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
    text = io.TextIOWrapper(file, encoding=encoding, errors=errors, newline="")
    delimiter = _delimiter(text.read(SAMPLE))
    text.seek(0)
    lines = _Lines(text)
    rows = _lent(text, _csv_rows(csv.reader(lines, delimiter=delimiter), lines))
    header = next((row for row in rows if isinstance(row, Bad) or any(row)), [])
    if isinstance(header, Bad):
        raise Invalid(f"The first row cannot be read: {header.detail}", code="unreadable-file")
    if any(map(_CONTROL.search, header)):
        raise _no_csv()
    columns = _columns(header)
    return Table("csv", columns, _named(columns, rows), encoding.removesuffix("-sig"), delimiter)


def _packed(sample: bytes) -> bool:
    """Whether it is data and no text, though its first line may look like some."""
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return sample.startswith(_OTHERS) or controls * _SHARE_OF_TEXT > max(len(sample), 8 * _SHARE_OF_TEXT)


def _no_csv() -> Invalid:
    detail = "CSV was expected, text whose first row names the columns, but the file begins with bytes that are no text"
    return Invalid(detail, code="unreadable-file")


def _lent(text: io.TextIOWrapper, rows: Iterator[list[str] | Bad]) -> Iterator[list[str] | Bad]:
    """The rows; the file stays with who opened it."""
    try:
        yield from rows
    finally:
        with suppress(ValueError):
            text.detach()


def _encoding(sample: bytes) -> str:
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        sample.decode()
        return "utf-8-sig"
    except UnicodeDecodeError as error:
        if len(sample) == SAMPLE and error.start > SAMPLE - 4:
            return "utf-8-sig"
    return _guessed(sample)


def _guessed(sample: bytes) -> str:
    """The likeliest of the encodings that are in use, of text that is not UTF-8 as a whole."""
    found = detect_all(sample, ignore_threshold=True, encoding_era=EncodingEra.MODERN_WEB, exclude_encodings=_WIDE)
    likely = {it["encoding"]: it["confidence"] for it in found if it["encoding"] is not None}
    best = max(likely, key=likely.__getitem__, default="utf-8")
    if likely.get(_USUAL, 0) > _NEARLY * likely.get(best, 0):
        best = _USUAL
    return "utf-8-sig" if best.lower() in ("utf-8", "ascii") else best.lower()


def _delimiter(sample: str) -> str:
    """The one that the first line has most of, outside of quotes."""
    first = next((line for line in sample.splitlines() if line.strip()), "")
    bare = _QUOTED.sub("", first)
    return max(DELIMITERS, key=lambda delimiter: (bare.count(delimiter), -DELIMITERS.index(delimiter)))


class _TooLong(Exception):
    """A row is longer than any row may be."""


class _Lines:
    """Lines for the reader. A row that is too long with all its lines is given up; reading goes on at the next line."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.taken = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW + 1)
        if not line:
            raise StopIteration
        self.taken += len(line)
        if self.taken > MAX_ROW:
            while line and not line.endswith(("\n", "\r")):
                line = self._text.readline(MAX_ROW)
            raise _TooLong
        return line


def _csv_rows(reader: Any, lines: _Lines) -> Iterator[list[str] | Bad]:
    csv.field_size_limit(MAX_ROW)
    while True:
        lines.taken = 0
        try:
            row: list[str] = next(reader)
        except StopIteration:
            return
        except _TooLong:
            yield Bad("too_long", f"A row has at most {MAX_ROW} characters")
        except csv.Error as error:
            yield Bad("unreadable", f"The row is not CSV: {error}")
        else:
            yield row


def _named(columns: Sequence[str], rows: Iterator[list[str] | Bad]) -> Iterator[Values | Bad]:
    width = len(columns)
    for row in rows:
        if isinstance(row, Bad):
            yield row
            continue
        if not any(row):
            continue
        text = "".join(row)
        if not text.isascii() and _escaped(text):
            yield Bad("invalid_encoding", "The row is not text in the encoding of the file", readable(row))
        elif len(row) > width and any(row[width:]):
            yield Bad("too_many_cells", "The row has more cells than there are columns", readable(row))
        else:
            yield dict(zip(columns, row, strict=False))


def _escaped(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def readable(cells: Sequence[str]) -> str:
    """Cells as text that can be shown, whatever they hold."""
    return ",".join(cells)[:10_000].encode("utf-8", "replace").decode()


def _columns(cells: Sequence[object]) -> tuple[str, ...]:
    """The names of columns, each once; one without a name goes by its place."""
    if len(cells) > MAX_COLUMNS:
        raise Invalid(f"A table has at most {MAX_COLUMNS} columns", code="too-many-columns")
    found: dict[str, None] = {}
    for place, cell in enumerate(cells, 1):
        name = str(cell).strip()[:200] if cell not in (None, "") else ""
        name = name or f"Column {place}"
        found[name if name not in found else f"{name} ({place})"] = None
    return tuple(found)


def _ndjson(file: BinaryIO) -> Table:
    return Table("ndjson", (), _documents(file), "utf-8")


def _documents(file: BinaryIO) -> Iterator[Values | Bad]:
    while line := file.readline(MAX_ROW + 1):
        if len(line) > MAX_ROW:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_ROW)
            yield Bad("too_long", f"A row has at most {MAX_ROW} bytes")
        elif (line := line.removeprefix(b"\xef\xbb\xbf")).strip(b" \t\r\n"):
            yield _document(line)


def _document(line: bytes) -> Values | Bad:
    shown = line[:10_000].decode("utf-8", "replace")
    if b"\\u0000" in line:
        return Bad("invalid_text", "Text may not contain the NUL character", shown)
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Bad("unreadable", f"The row is not JSON: {error}", shown)
    if not isinstance(found, dict):
        return Bad("wrong_type", "Each row is a JSON object", shown)
    return found


def _xlsx(file: BinaryIO) -> Table:
    try:
        cells = _cells(Workbook(file).rows())
        header = next((row for row in cells if not isinstance(row, Bad)), {})
    except Invalid:
        raise
    except Exception as error:  # What a broken archive makes of its reader is anything.
        raise Invalid(
            f"An XLSX workbook was expected, but the file is none: {error!r:.200}", code="unreadable-file"
        ) from None
    columns = _columns([header.get(place) for place in range(1, max(header, default=0) + 1)])
    return Table("xlsx", columns, _sheet_rows(columns, cells))


def _cells(rows: Iterator[dict[int, object]]) -> Iterator[dict[int, object] | Bad]:
    """The rows that hold something."""
    for number in range(MAX_SHEET_ROWS + 1):
        try:
            row = next(rows, None)
        except Invalid:
            raise
        except Exception as error:
            yield Bad("unreadable", f"The sheet cannot be read from here on: {error!r:.200}")
            return
        if row is None:
            return
        if number == MAX_SHEET_ROWS:
            yield Bad("too_many_rows", f"A sheet has at most {MAX_SHEET_ROWS} rows; nothing below was read")
            return
        if row:
            yield row


def _sheet_rows(columns: Sequence[str], rows: Iterator[dict[int, object] | Bad]) -> Iterator[Values | Bad]:
    width = len(columns)
    for row in rows:
        if isinstance(row, Bad):
            yield row
        elif max(row) > width:
            shown = readable([str(row.get(place)) for place in range(1, min(max(row), MAX_COLUMNS) + 1)])
            yield Bad("too_many_cells", "The row has more cells than there are columns", shown)
        else:
            yield {name: row.get(place) for place, name in enumerate(columns, 1)}


_READERS: dict[Format, Callable[[BinaryIO], Table]] = {"csv": _csv, "ndjson": _ndjson, "xlsx": _xlsx}
