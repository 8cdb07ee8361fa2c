"""Where in a text the words of a search are: a piece of it around them, safe to put into HTML."""

from html import escape

import msgspec

from services.records.domain.searching import Question, fold, is_unspaced, spans

LENGTH = 160
MAX_SCANNED = 20_000
OPEN, CLOSE = "<mark>", "</mark>"


class Snippet(msgspec.Struct, frozen=True):
    """A piece of a field's text. `text` is HTML: what the record says is escaped, and words that were found marked."""

    field: str
    text: str


def snippet(field: str, text: str, question: Question) -> Snippet | None:
    """A piece of a field's text around the first word that was looked for; nothing where there is none."""
    text = text[:MAX_SCANNED]
    marks = _found(text, question) if question.occurs_in(text) else []
    if not marks:
        return None
    first = max(0, marks[0][0] - LENGTH // 4)
    last = min(len(text), max(first + LENGTH, marks[0][1]))
    while 0 < first < marks[0][0] and not text[first - 1].isspace():
        first += 1
    shown = _marked(text, first, last, [mark for mark in marks if mark[1] <= last])
    return Snippet(field, f"{'… ' if first else ''}{shown}{' …' if last < len(text) else ''}")


def _found(text: str, question: Question) -> list[tuple[int, int]]:
    """Where there are words that were looked for, as far as a piece that begins around the first may reach."""
    marks: list[tuple[int, int]] = []
    for start, end, word in spans(text):
        if marks and start > marks[0][1] + LENGTH:
            break
        if question.matches(word):
            marks += _marks(text, start, end, word, question)
    return marks


def _marks(text: str, start: int, end: int, word: str, question: Question) -> list[tuple[int, int]]:
    """The word itself, or where words are not spaced the part of it that was looked for."""
    if is_unspaced(word) and len(word) == end - start == len(fold(text[start:end])):
        for asked in question.words:
            if (at := word.find(asked)) >= 0:
                return [(start + at, start + at + len(asked))]
    return [(start, end)]


def _marked(text: str, first: int, last: int, marks: list[tuple[int, int]]) -> str:
    shown, at = "", first
    for start, end in marks:
        shown += f"{escape(text[at:start])}{OPEN}{escape(text[start:end])}{CLOSE}"
        at = end
    return shown + escape(text[at:last])
