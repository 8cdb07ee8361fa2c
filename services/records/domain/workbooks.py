"""Workbooks (XLSX, ECMA-376) read row by row, whatever they hold.

A small archive may unpack to anything, and what is unpacked becomes a tree many times its size. So parts that are read
whole are bounded in bytes and in tags; sheets and texts are read element by element, of which none stays, and between
two of them only so much may come.
"""

import zipfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO

from openpyxl.packaging.relationship import Relationship
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.stylesheet import apply_stylesheet
from openpyxl.worksheet._reader import WorkSheetParser
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS
from openpyxl.xml.functions import iterparse

from libs.common.errors import Invalid

MAX_UNPACKED = 4 * 1024**3
MAX_PART = 8 * 1024**2
MAX_TAGS = 300_000
MAX_TEXTS = 2_000_000
MAX_TEXT_BYTES = 256 * 1024**2
MAX_ELEMENT = 16 * 1024**2
MAX_NODES = 200_000

_ROW = f"{{{SHEET_MAIN_NS}}}row"
_TEXT, _RUN, _PLAIN = (f"{{{SHEET_MAIN_NS}}}{name}" for name in ("si", "r", "t"))


class Workbook:
    """The first sheet of a workbook, until somebody closes the file."""

    def __init__(self, file: BinaryIO) -> None:
        archive = _Archive(file)
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED:
            raise _too_large()
        reader: Any = ExcelReader(file, read_only=True, data_only=True, keep_links=False)
        reader.archive = archive
        reader.read_manifest()
        texts = reader.package.find(SHARED_STRINGS)
        self._texts = [] if texts is None else _texts(archive, texts.PartName[1:])
        reader.read_workbook()
        apply_stylesheet(archive, reader.wb)
        self._archive = archive
        self._book = reader.wb
        self._path = next(link.target for _, link in reader.parser.find_sheets() if _is_sheet(link, archive))

    def rows(self) -> Iterator[dict[int, object]]:
        """The values of each row by column, of which the first is 1; cells without a value are left out."""
        book = self._book
        with _Stream(self._archive.open(self._path)) as stream:
            parser = WorkSheetParser(
                stream, self._texts, data_only=True, epoch=book.epoch, date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )  # fmt: skip
            for element in _elements(stream, _ROW):
                _, cells = parser.parse_row(element)
                parser.row_dimensions.clear()
                yield {cell["column"]: cell["value"] for cell in cells if cell["value"] not in (None, "")}


class _Archive(zipfile.ZipFile):
    """Gives no part as a whole that is larger than such a part may be."""

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        if (name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)).file_size > MAX_PART:
            raise _too_large()
        found = super().read(name, pwd)
        if found.count(b"<") > MAX_TAGS:
            raise _too_large()
        return found


class _Stream:
    """A part that is read as far as the one who reads it gets on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._since = 0

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, count: int = -1) -> bytes:
        """The next bytes; too many without an element between them are refused."""
        found = self._file.read(min(count, MAX_ELEMENT) if count > 0 else MAX_ELEMENT)
        self._since += len(found)
        if self._since > MAX_ELEMENT:
            raise _too_large()
        return found

    def got_on(self) -> None:
        """An element was taken."""
        self._since = 0


def _elements(stream: _Stream, tag: str) -> Iterator[Any]:
    """The elements of a name that stand in no other of it, each until the next is asked for; nothing else is kept."""
    path: list[Any] = []
    within, nodes = 0, 0
    for event, element in iterparse(stream, events=("start", "end")):
        if event == "start":
            path.append(element)
            within += element.tag == tag
            nodes += 1
            if nodes > MAX_NODES:
                raise _too_large()
            continue
        path.pop()
        within -= element.tag == tag
        if element.tag == tag and not within:
            yield element
            stream.got_on()
            nodes = 0
        if not within and path:
            path[-1].clear()


def _texts(archive: _Archive, name: str) -> list[str]:
    """The texts that cells refer to by number."""
    if archive.getinfo(name).file_size > MAX_TEXT_BYTES:
        raise _too_large()
    found: list[str] = []
    with _Stream(archive.open(name)) as stream:
        for element in _elements(stream, _TEXT):
            found.append(_said(element).replace("x005F_", ""))
            if len(found) > MAX_TEXTS:
                raise _too_large()
    return found


def _said(element: Any) -> str:
    """A text, plain or of runs that look differently; how it is pronounced is left out."""
    parts = (
        child.findall(_PLAIN) if child.tag == _RUN else (child,) for child in element if child.tag in (_PLAIN, _RUN)
    )
    return "".join(it.text or "" for part in parts for it in part)


def _is_sheet(link: Relationship, archive: _Archive) -> bool:
    return "chartsheet" not in link.Type and link.target in archive.NameToInfo


def _too_large() -> Invalid:
    return Invalid("The workbook is too large when it is unpacked", code="too-large")
