"""Words of records and of questions: how text becomes words, and words what PostgreSQL looks for.

A record's document is a tsvector whose lexemes are words behind the *tag* of their field: eight characters made from
tenant, pipeline and field. A question asks for words behind the tags of those fields that the one who asks may read, so
that text in other fields has no part in what is found nor in its order. Words of the title's fields weigh more.
"""

import re
import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

import msgspec

from services.records.domain.permissions import Access, Fields
from services.records.domain.pipelines import Pipeline

MAX_QUERY = 200
MAX_WORDS = 8
MAX_WORD = 60
MAX_TITLE = 100
MAX_FIELD_WORDS = 1_000
MAX_RECORD_WORDS = 4_000
TITLE = "="
"""Stands for the whole title where a field's name would."""

_NO_WORDS = ("relation", "user", "file", "json", "button")
_TIMES = 4
_HERE = "\0"
_SUFFIX = 12
_ASCII = re.compile(r"[a-z0-9]+")
# Letters, digits, and the signs that belong to letters in the scripts of South and South-East Asia.
_WORD = re.compile(r"(?:[^\W_]|[\u0900-\u0963\u0966-\u0dff\u0e00-\u109f\u1780-\u17ff])+")
# Scripts that put no spaces between words: any of them may begin at any character.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
_LETTERS = str.maketrans({
    "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe",
})  # fmt: skip


class Words(msgspec.Struct, frozen=True):
    """What is kept of a record: its document, and what may be mistyped by tag and word."""

    document: str
    learned: frozenset[tuple[str, str]]


class Part(msgspec.Struct, frozen=True):
    """A field that is searched, by its tag and weight."""

    name: str
    tag: str
    weight: str


class Shape(msgspec.Struct, frozen=True):
    """What is searched of a pipeline; `number` tells one shape from another."""

    parts: tuple[Part, ...]
    title: str
    title_fields: frozenset[str]
    number: int

    def tags(self, mask: Fields) -> tuple[str, ...]:
        """The tags of the fields in a mask."""
        return tuple([part.tag for part in self.parts if mask is None or part.name in mask])

    def title_tags(self, mask: Fields) -> tuple[str, ...]:
        """The tag of the title, where all it is made of is in the mask."""
        return (self.title,) if mask is None or self.title_fields <= mask else ()


def fold(text: str) -> str:
    """Text without differences of case, of accents and of width."""
    if text.isascii():
        return text.lower()
    decomposed = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", decomposed).translate(_LETTERS)


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    found = _ASCII.findall(text.lower()) if text.isascii() else _WORD.findall(fold(text))
    return found if len(text) <= MAX_WORD else [word[:MAX_WORD] for word in found]


def spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Where the words of a text begin and end, and what they are when folded."""
    for found in _WORD.finditer(text):
        yield found.start(), found.end(), _folded(found.group())


@lru_cache(maxsize=20_000)
def _folded(word: str) -> str:
    return fold(word)[:MAX_WORD]


def ascii_spans(folded: str) -> Iterator[tuple[int, int, str]]:
    """The same of a text without other letters, which is folded already."""
    for found in _ASCII.finditer(folded):
        yield found.start(), found.end(), found.group()[:MAX_WORD]


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that puts no spaces between words."""
    return not word.isascii() and _UNSPACED.search(word) is not None


def plain(value: object) -> str:
    """The text of a field's value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(text for item in value.values() if (text := plain(item)))
    if isinstance(value, list | tuple):
        return ", ".join(text for item in value if (text := plain(item)))
    return str(value)


@lru_cache(maxsize=2_000)
def shape_of(tenant_id: UUID, pipeline: Pipeline) -> Shape:
    """What is searched of a pipeline: the fields that are marked so, and those that its titles are made of."""
    titles = pipeline.title_fields
    fields = (field for field in pipeline.fields.values() if field.type not in _NO_WORDS)
    searched = [field.name for field in fields if field.searchable or field.name in titles]
    known = tuple(Part(name, _tag(tenant_id, pipeline.id, name), "A" if name in titles else "D") for name in searched)
    text = " ".join(f"{part.name}:{part.weight}" for part in known)
    template = pipeline.definition.title_template or ""
    number = int.from_bytes(blake2b(f"{text} {template}".encode(), digest_size=8).digest(), signed=True)
    return Shape(known, _tag(tenant_id, pipeline.id, TITLE), titles, number)


def _tag(tenant_id: UUID, pipeline_id: UUID, name: str) -> str:
    digest = blake2b(tenant_id.bytes + pipeline_id.bytes + name.encode(), digest_size=6).digest()
    return urlsafe_b64encode(digest).decode()


def document(shape: Shape, title: str, data: Mapping[str, object]) -> Words:
    """What is kept of a record."""
    lexemes: dict[str, list[str]] = {}
    learned: set[tuple[str, str]] = set()
    count = 0
    for part in shape.parts:
        value = data.get(part.name)
        if value is None:
            continue
        tag, weight = part.tag, part.weight
        words = words_of(value if isinstance(value, str) else plain(value))
        for place, word in enumerate(words[: min(MAX_FIELD_WORDS, MAX_RECORD_WORDS - count)], count + 1):
            for form in (word,) if word.isascii() else _forms(word):
                lexeme = tag + form
                times = lexemes.get(lexeme)
                if times is None:
                    lexemes[lexeme] = [f"{place}{weight}"]
                elif len(times) < _TIMES:
                    times.append(f"{place}{weight}")
            if may_be_mistyped(word):
                learned.add((tag, word))
            count = place
    whole = joined(words_of(title))
    if whole:
        lexemes[f"{shape.title}{whole}"] = ["1A"]
    return Words(" ".join(f"'{lexeme}':{','.join(times)}" for lexeme, times in lexemes.items()), frozenset(learned))


def joined(words: Iterable[str]) -> str:
    """A whole title as one lexeme."""
    return " ".join(words)[:MAX_TITLE].rstrip()


def _forms(word: str) -> Iterable[str]:
    if not is_unspaced(word):
        return (word,)
    return [word[start : start + _SUFFIX] for start in range(len(word))]


def may_be_mistyped(word: str) -> bool:
    """Whether similar words are looked for: short ones, numbers and codes are similar to too much."""
    return len(word) >= 4 and (word.isalpha() or not any(character.isdigit() for character in word))


Known: TypeAlias = Mapping[str, Mapping[str, Collection[str]]]
"""Words that occur and stand for one that is looked for, each with the tags of the fields that have it."""


class Question(msgspec.Struct, frozen=True):
    """The words that are looked for. `forms` are others that stand for one of them in the asker's language, `typos`
    those that one may be a slip of.
    """

    words: tuple[str, ...]
    forms: Known = MappingProxyType({})
    typos: Known = MappingProxyType({})

    def exactly(self, tags: tuple[str, ...]) -> str:
        """All words, each in some field."""
        return _all(_any(tags, word) for word in self.distinct)

    def beginning(self, tags: tuple[str, ...]) -> str:
        """Words that begin with these or stand for them, all of them."""
        return _all(self._begun(word, tags) for word in self.distinct)

    def mistyped(self, tags: tuple[str, ...]) -> str:
        """The same, or words that these may be slips of."""
        return _all(_or([self._begun(word, tags), _known(self.typos, word, tags)]) for word in self.distinct)

    def only_mistyped(self, tags: tuple[str, ...]) -> str:
        """As much of that as finds all that is not found otherwise."""
        if len(self.distinct) == 1:
            return _known(self.typos, self.words[0], tags)
        return self.mistyped(tags) if any(_known(self.typos, word, tags) for word in self.distinct) else ""

    def as_title(self, tags: tuple[str, ...], *, prefix: bool) -> str:
        """Titles that are these words, or begin with them."""
        return _any(tags, joined(self.words), prefix=prefix)

    @property
    def distinct(self) -> Sequence[str]:
        """Each word once."""
        return list(dict.fromkeys(self.words))

    def _begun(self, word: str, tags: tuple[str, ...]) -> str:
        return _or([_any(tags, word, prefix=is_prefix(word)), _known(self.forms, word, tags)])


def question(text: str) -> Question:
    """The first words of what was typed."""
    return Question(tuple(word[:_SUFFIX] if is_unspaced(word) else word for word in words_of(text)[:MAX_WORDS]))


def is_prefix(word: str) -> bool:
    """Whether words that begin with it are found as well."""
    return len(word) > 1 or is_unspaced(word)


def _any(tags: tuple[str, ...], word: str, *, prefix: bool = False) -> str:
    return _open(tags, "':*" if prefix else "'").replace(_HERE, word)


@lru_cache(maxsize=2_000)
def _open(tags: tuple[str, ...], end: str) -> str:
    """What finds a word that is still to be put in, behind any of these tags."""
    return _or([f"'{tag}{_HERE}{end}" for tag in tags])


def _known(words: Known, asked: str, tags: Collection[str]) -> str:
    """Only what occurs is looked for, and only where it does."""
    return _or([f"'{tag}{word}'" for word, known in words.get(asked, {}).items() for tag in known if tag in tags])


def _or(parts: Sequence[str]) -> str:
    known = [part for part in parts if part]
    return f"({' | '.join(known)})" if known else ""


def _all(parts: Iterable[str]) -> str:
    return " & ".join(parts)


def most_typos(word: str) -> int:
    """How many letters of a word may be wrong."""
    return 1 if len(word) < 6 else 2


def distance(one: str, other: str, most: int) -> int:
    """How many letters are to be put in, left out, replaced or swapped with the next; beyond `most` it is only more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    one, other = _differing(one, other)
    if len(one) < 2 > len(other) or (len(one) == len(other) == 2 and one == other[::-1]):
        return min(1, len(one) + len(other))
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return last[-1]


def _differing(one: str, other: str) -> tuple[str, str]:
    """Two words without what they begin and end with alike, which is the same number of slips apart."""
    start, most = 0, min(len(one), len(other))
    while start < most and one[start] == other[start]:
        start += 1
    end = 0
    while end < most - start and one[-1 - end] == other[-1 - end]:
        end += 1
    return one[start : len(one) - end], other[start : len(other) - end]


def halves(word: str) -> tuple[str, str]:
    """The halves of a word: a slip is in the first or in the second, but for two letters that changed places across
    the middle.
    """
    middle = len(word) // 2
    return word[:middle], word[middle:]


def swaps(word: str) -> list[str]:
    """What a word is when two letters beside each other change places, in order."""
    return [f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in range(len(word) - 1)]


class Scope(msgspec.Struct, frozen=True):
    """Fields that may be read together in the rows of one access."""

    access: Access
    mask: Fields

    def using(self, shape: Shape) -> frozenset[str]:
        """The fields that a search within it looks at."""
        own = frozenset(part.name for part in shape.parts if self.mask is None or part.name in self.mask)
        return own | shape.title_fields if shape.title_tags(self.mask) else own


def scopes(access: Access) -> list[Scope]:
    """What may be read of a pipeline: one mask for all rows, or one for each grant with a rule of its own."""
    if not access.alternatives:
        return []
    if not access.ruled:
        return [Scope(access, access.readable)]
    return [Scope(access, mask) for mask in dict.fromkeys(a.readable for a in access.alternatives)]
