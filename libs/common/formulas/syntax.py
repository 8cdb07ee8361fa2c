"""The language of formulas: its grammar, and how large an expression may be.

Lowest first: `or`, `and`, `not`, comparison (`= != < <= > >=`), `&` (joins texts), `+ -`, `* / %`, unary `-`, `^`.
Texts are in double or single quotes, with a backslash before a quote or a backslash. A name is a field's (`amount`), or
a part of one (`price.currency`).
"""

from collections.abc import Mapping
from functools import lru_cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

MAX_EXPRESSION = 2000
MAX_DEPTH = 40
MAX_NODES = 400

_GRAMMAR = r"""
?start: or_
?or_: and_ | or_ "or" and_ -> or_
?and_: not_ | and_ "and" not_ -> and_
?not_: "not" not_ -> not_ | comparison
?comparison: joined | joined COMPARISON joined -> compare
?joined: sum | joined "&" sum -> join
?sum: product | sum SIGN product -> arithmetic
?product: unary | product FACTOR unary -> arithmetic
?unary: SIGN unary -> sign | power
?power: atom | atom POWER unary -> arithmetic
?atom: NUMBER -> number
     | STRING -> string
     | "true" -> true
     | "false" -> false
     | "null" -> null
     | NAME "(" [or_ ("," or_)*] ")" -> call
     | NAME ["." NAME] -> field
     | "(" or_ ")"

COMPARISON: "==" | "=" | "!=" | "<>" | "<=" | ">=" | "<" | ">"
SIGN: "+" | "-"
FACTOR: "*" | "/" | "%"
POWER: "^"
NUMBER: /[0-9]{1,100}(\.[0-9]{1,100})?/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/
NAME: /[a-z][a-z0-9_]{0,62}/
%ignore /[ \t\r\n]+/
"""


class FormulaError(Exception):
    """What is wrong with an expression, and at which character (counted from 1)."""

    def __init__(self, code: str, detail: str, position: int | None = None) -> None:
        self.code = code
        self.position = position
        self.detail = detail if position is None else f"{detail}, at position {position}"
        super().__init__(self.detail)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def parse(text: str) -> Tree[Token]:
    """The tree of an expression; raises FormulaError."""
    if len(text) > MAX_EXPRESSION:
        raise FormulaError("too_long", f"An expression has at most {MAX_EXPRESSION} characters")
    if "\0" in text:
        raise FormulaError("invalid_syntax", "NUL is not taken", text.index("\0") + 1)
    try:
        found = _parser().parse(text)
    except UnexpectedInput as error:
        raise _unexpected(error, text) from None
    _check_size(found)
    return found


def _unexpected(error: UnexpectedInput, text: str) -> FormulaError:
    match error:
        case UnexpectedCharacters():
            return FormulaError("invalid_syntax", f"'{text[error.pos_in_stream or 0]}' is not expected", _place(error))
        case UnexpectedToken(token=token) if token.type != "$END":
            return FormulaError("invalid_syntax", f"'{token}' is not expected", _place(error))
        case UnexpectedEOF() | UnexpectedToken() | _:
            return FormulaError("invalid_syntax", "Something is missing", len(text) + 1)


def _place(error: UnexpectedInput) -> int:
    return (error.pos_in_stream or 0) + 1


def _check_size(tree: Tree[Token]) -> None:
    nodes, level, ahead = 0, 0, [tree]
    while ahead:
        level += 1
        nodes += len(ahead)
        if level > MAX_DEPTH or nodes > MAX_NODES:
            detail = f"at most {MAX_DEPTH} levels and {MAX_NODES} parts are taken"
            raise FormulaError("too_complex", f"The expression is too large: {detail}")
        ahead = [child for node in ahead for child in node.children if isinstance(child, Tree)]


def position(tree: Tree[Token]) -> int:
    """Where a part of an expression begins, counted from 1."""
    return int(getattr(tree.meta, "start_pos", 0)) + 1


def _fields(text: str) -> list[Token]:
    return [token for node in parse(text).find_data("field") for token in node.children[:1] if isinstance(token, Token)]


def names_of(text: str) -> frozenset[str]:
    """The fields that an expression speaks of; none where it cannot be read."""
    try:
        return frozenset(str(token) for token in _fields(text))
    except FormulaError:
        return frozenset()


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The expression with fields by their new names; as it is where it cannot be read."""
    try:
        tokens = sorted(_fields(text), key=lambda token: token.start_pos or 0, reverse=True)
    except FormulaError:
        return text
    for token in tokens:
        begin = token.start_pos or 0
        text = text[:begin] + names.get(str(token), str(token)) + text[begin + len(token) :]
    return text
