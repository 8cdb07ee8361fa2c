"""Where in a text the words of a search are: a piece of it around them, safe to put into HTML."""

from collections.abc import Iterator
from html import escape

import msgspec

from services.records.domain.searching import Question, ascii_spans, fold, is_prefix, is_unspaced, spans

LENGTH = 160
MAX_SCANNED = 20_000
OPEN, CLOSE = "<mark>", "</mark>"


class Snippet(msgspec.Struct, frozen=True):
    """A piece of a field's text. `text` is HTML: what the record says is escaped, and words that were found marked."""

    field: str
    text: str


class Marker:
    """Finds in texts what was looked for."""

    def __init__(self, question: Question) -> None:
        self._asked = asked = question.words
        meant = {word for known in (question.forms, question.typos) for words in known.values() for word in words}
        self._begun = tuple(word for word in asked if is_prefix(word) and not is_unspaced(word))
        self._whole = meant.union(word for word in asked if not is_prefix(word))
        self._parts = tuple(word for word in asked if is_unspaced(word))
        self._any = (*asked, *meant)

    def snippet(self, field: str, text: str) -> Snippet | None:
        """A piece of a field's text around the first word that was looked for; nothing where there is none."""
        text = text[:MAX_SCANNED]
        folded = fold(text)
        if not any(word in folded for word in self._any):
            return None
        marks = self._found(text, folded)
        if not marks:
            return None
        first = max(0, marks[0][0] - LENGTH // 4)
        last = min(len(text), max(first + LENGTH, marks[0][1]))
        while 0 < first < marks[0][0] and not text[first - 1].isspace():
            first += 1
        shown = _marked(text, first, last, [mark for mark in marks if mark[1] <= last])
        return Snippet(field, f"{'… ' if first else ''}{shown}{' …' if last < len(text) else ''}")

    def _found(self, text: str, folded: str) -> list[tuple[int, int]]:
        """Where there are words that were looked for, as far as a piece that begins around the first may reach."""
        marks: list[tuple[int, int]] = []
        for start, end, word in ascii_spans(folded) if text.isascii() else spans(text):
            if marks and start > marks[0][1] + LENGTH:
                break
            if word.startswith(self._begun) or word in self._whole or any(part in word for part in self._parts):
                marks += self._marks(text, start, end, word)
        return marks

    def _marks(self, text: str, start: int, end: int, word: str) -> Iterator[tuple[int, int]]:
        """The word itself, or where words are not spaced the part of it that was looked for."""
        if is_unspaced(word) and len(word) == end - start == len(fold(text[start:end])):
            for part in self._asked:
                if (at := word.find(part)) >= 0:
                    yield start + at, start + at + len(part)
                    return
        yield start, end


def _marked(text: str, first: int, last: int, marks: list[tuple[int, int]]) -> str:
    shown, at = "", first
    for start, end in marks:
        shown += f"{escape(text[at:start])}{OPEN}{escape(text[start:end])}{CLOSE}"
        at = end
    return shown + escape(text[at:last])
