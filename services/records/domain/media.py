"""What a file is, told from how it begins and not from what its sender says."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import filetype

SNIFFED = 8192
BINARY = "application/octet-stream"
TEXT = "text/plain"
MAX_NAME = 200

_MARKUP = ((re.compile(rb"<(?:!doctype html|html|head|body|script|iframe|title)\b", re.IGNORECASE), "text/html"),
           (re.compile(rb"<svg\b", re.IGNORECASE), "image/svg+xml"),
           (re.compile(rb"\s*<\?xml\b", re.IGNORECASE), "application/xml"))  # fmt: skip
# What containers and plain text hold is told by the name, among what may be in them.
_WITHIN = {
    TEXT: {
        ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown", ".ics": "text/calendar",
        ".vcf": "text/vcard", ".eml": "message/rfc822", ".tsv": "text/tab-separated-values",
    },
    "application/zip": {
        ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        ".odt": "application/vnd.oasis.opendocument.text",
        ".ods": "application/vnd.oasis.opendocument.spreadsheet",
        ".odp": "application/vnd.oasis.opendocument.presentation", ".epub": "application/epub+zip",
    },
    "application/x-ole-storage": {
        ".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
        ".msg": "application/vnd.ms-outlook",
    },
}  # fmt: skip
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069]')


def sniffed(head: bytes, name: str) -> str:
    """The media type of a file that begins so."""
    found = _kind(head[:SNIFFED])
    return _WITHIN.get(found, {}).get(PurePosixPath(name.lower()).suffix, found)


def _kind(head: bytes) -> str:
    if _is_text(head) and not head.startswith((b"%PDF-", b"{\\rtf")):
        return next((kind for pattern, kind in _MARKUP if pattern.search(head)), TEXT)
    if head.startswith(b"PK\x03\x04"):
        return "application/zip"
    if head.startswith(_OLE):
        return "application/x-ole-storage"
    found = filetype.guess(head)
    return BINARY if found is None else str(found.mime)


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(head) or len(head) - error.start > 3:  # A character that the piece cuts is none.
            return False
        text = head[: error.start].decode("utf-8")
    return all(character >= " " or character in "\t\n\r\f\x1b" for character in text)


def allowed(media_type: str, types: Iterable[str]) -> bool:
    """Whether a field takes such a file: its types are whole ones or `image/*`; without any it takes all."""
    known = [one.lower() for one in types]
    family = media_type.partition("/")[0]
    return not known or media_type in known or f"{family}/*" in known


def file_name(given: str) -> str:
    """A name that is safe on every system, without a path."""
    last = re.split(r"[/\\]", given)[-1]
    name = _FORBIDDEN.sub("_", last).strip(" .")
    if len(name) <= MAX_NAME:
        return name or "file"
    suffix = PurePosixPath(name).suffix[:20]
    return name[: MAX_NAME - len(suffix)] + suffix
