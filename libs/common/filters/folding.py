"""Case folding that agrees with PostgreSQL.

`icontains` compares by full Unicode case folding as of Unicode 16, which is `casefold(… collate pg_unicode_fast)`
in PostgreSQL 18. It looks at one character at a time (no final sigma), so folding and searching commute.
Python's `str.casefold` is the same function but follows the interpreter's Unicode; a test compares the two for
every code point.
"""

_SINCE_UNICODE_14 = {0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7DA: 0xA7DB, 0xA7DC: 0x19B} | {
    upper: upper + 32 for upper in range(0x10D50, 0x10D66)
}


def fold(text: str) -> str:
    """The text without differences of case."""
    return text.lower() if text.isascii() else text.casefold().translate(_SINCE_UNICODE_14)
