"""Kinds of arguments: what cannot be meant is told with what can, before anything is asked."""

import math
import re
from typing import Any

import click

LARGEST = 2**63 - 1
LONGEST = 200
_MARK = re.compile(r"(\d{1,18}):((?:[0-9a-f]{2})*)")


class Days(click.FloatRange):
    """A number of days or seconds; neither infinite nor no number."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; fails where it is none."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number.", param, ctx)
        return float(number)


class Mark(click.ParamType[tuple[int, str]]):
    """A place in an audit log: the number of an entry and its hash."""

    name = "number:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, str]:
        """Both; fails where they are none."""
        if isinstance(value, tuple):
            return value
        if (found := _MARK.fullmatch(str(value))) is None:
            self.fail(f"{value!r} is no number and hash of an entry, such as 12:ab34….", param, ctx)
        return int(found[1]), found[2]


class Word(click.ParamType[str]):
    """A name on one line: of a version, an environment, a person."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name; fails where it is empty, long, or more than letters."""
        text = str(value)
        if not text.strip() or len(text) > LONGEST or not text.isprintable():
            self.fail(f"give a name of up to {LONGEST} letters on one line.", param, ctx)
        return text
