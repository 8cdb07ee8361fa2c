"""The filter language: one parser, one syntax tree, one translation to SQL, one evaluation in Python.

schema · syntax        what may be spoken of, and the tree (its JSON form is told there)
parse · query          from JSON trees and query strings; literals, operators, dates, durations: what values mean
lowering               the meaning of operators, shared by both back ends
sql · evaluate         the two back ends, which a property test keeps alike
sort · cursors         order, pages and their cursors
"""

from libs.common.filters.cursors import decode_cursor, encode_cursor
from libs.common.filters.evaluate import Predicate, compile, evaluate  # noqa: A004 - as in re.compile
from libs.common.filters.lowering import is_relative
from libs.common.filters.operators import allowed
from libs.common.filters.parse import parse_tree
from libs.common.filters.query import parse_query
from libs.common.filters.schema import COLUMNS, Context, Field, Kind, Schema
from libs.common.filters.sort import Sort, parse_sort
from libs.common.filters.sql import LEAKPROOF, expression, to_sql
from libs.common.filters.syntax import And, Compare, Node, NoneOf, Not, Op, Or, Some, dump

__all__ = [
    "COLUMNS",
    "LEAKPROOF",
    "And",
    "Compare",
    "Context",
    "Field",
    "Kind",
    "Node",
    "NoneOf",
    "Not",
    "Op",
    "Or",
    "Predicate",
    "Schema",
    "Some",
    "Sort",
    "allowed",
    "compile",
    "decode_cursor",
    "dump",
    "encode_cursor",
    "evaluate",
    "expression",
    "is_relative",
    "parse_query",
    "parse_sort",
    "parse_tree",
    "to_sql",
]
