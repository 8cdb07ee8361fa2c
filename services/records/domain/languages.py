"""Languages whose inflections PostgreSQL knows: the Snowball dictionaries that come with it."""

import re

import msgspec

DICTIONARIES = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
_SHORTEST = 4
_KEPT = 3
_RANGE = re.compile(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9]{1,8})*\s*(?:;\s*q=(0(?:\.\d{1,3})?|1(?:\.0{1,3})?)\s*)?")


class Stem(msgspec.Struct, frozen=True):
    """How inflections of a word are found: by a dictionary, among the words with this beginning."""

    dictionary: str
    begin: str


def preferred(accept_language: str | None) -> str | None:
    """The language that a client likes best of those whose inflections are known (RFC 9110 §12.5.4)."""
    liked: list[tuple[float, str]] = []
    for part in (accept_language or "")[:500].split(","):
        found = _RANGE.fullmatch(part)
        if found is not None and found[1].lower() in DICTIONARIES:
            liked.append((float(found[2] or 1), found[1].lower()))
    weight, language = max(liked, key=lambda one: one[0], default=(0.0, ""))
    return language if weight > 0 else None


def stem_of(word: str, language: str | None) -> Stem | None:
    """Where to look for inflections of a word; nowhere for one that is short or a number."""
    dictionary = DICTIONARIES.get(language or "")
    if dictionary is None or len(word) < _SHORTEST or word.isdigit():
        return None
    # Endings differ, sometimes with the last letter of the stem: citi-es, city.
    return Stem(f"{dictionary}_stem", word[: max(_KEPT, len(word) // 2)])
