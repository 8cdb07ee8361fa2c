"""Regular expressions that users write, in RE2: matching takes time linear in the text, whatever the expression."""

import re2

MAX_PATTERN = 500

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


def compile_pattern(pattern: str) -> "re2._Regexp":
    """The compiled expression; `ValueError` says what is wrong with it."""
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "not an expression"
        raise ValueError(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def found(pattern: str, text: str) -> bool:
    """Whether the expression occurs in the text, unanchored as in JSON Schema."""
    return compile_pattern(pattern).search(text) is not None
