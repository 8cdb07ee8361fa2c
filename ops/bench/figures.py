"""What was measured, and how it is told: a table, and JSON for machines."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct):
    """One measurement: the platform's value, that of what it is compared with, and the bar it should clear.

    The bar is about the ratio where there is a base, otherwise about the value; `at_most` turns it round.
    """

    name: str
    value: float
    unit: str
    base: float | None = None
    bar: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a part of the base."""
        return self.value / self.base if self.base else None

    @property
    def clears(self) -> bool | None:
        """Whether it clears its bar; none where there is no bar."""
        if self.bar is None:
            return None
        judged = self.ratio if self.ratio is not None else self.value
        return judged <= self.bar if self.at_most else judged >= self.bar


def show(figures: list[Figure]) -> None:
    """Print the table."""
    table = Table(title="Millrace against a bare uvicorn + asyncpg application")
    table.add_column("what")
    for column in ("millrace", "bare", "ratio", "bar", ""):
        table.add_column(column, justify="right")
    table.add_column("note", style="dim")
    for figure in figures:
        table.add_row(*_cells(figure))
    Console().print(table)


def write(figures: list[Figure], path: Path) -> None:
    """Write them as JSON."""
    rows = [{**msgspec.to_builtins(figure), "ratio": figure.ratio, "clears": figure.clears} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rows)) + b"\n")


def _cells(figure: Figure) -> list[str]:
    sign = "≤" if figure.at_most else "≥"
    verdict = {True: "[green]ok[/]", False: "[red]short[/]", None: ""}[figure.clears]
    return [
        figure.name,
        f"{figure.value:,.{0 if figure.value >= 100 else 1}f} {figure.unit}",
        "" if figure.base is None else f"{figure.base:,.0f}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        "" if figure.bar is None else f"{sign} {figure.bar:,g}",
        verdict,
        figure.note,
    ]
