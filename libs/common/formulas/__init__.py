"""Formulas: expressions over the fields of one record, typed when they are defined, evaluated when it is written.

syntax      the language and its bounds: text in, tree out
values      what values are while one computes, and their form in JSON
kinds       which types of fields are which types of values
functions   the table of functions
program     from a tree to a typed program; types, nulls and errors are told there
"""

from libs.common.formulas.functions import FUNCTIONS
from libs.common.formulas.program import Program, compile_formula
from libs.common.formulas.syntax import MAX_EXPRESSION, FormulaError, names_of, renamed
from libs.common.formulas.values import Type, from_json, to_json

__all__ = [
    "FUNCTIONS",
    "MAX_EXPRESSION",
    "FormulaError",
    "Program",
    "Type",
    "compile_formula",
    "from_json",
    "names_of",
    "renamed",
    "to_json",
]
