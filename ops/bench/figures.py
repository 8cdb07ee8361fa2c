"""What was measured, and how it is told: a table, and JSON for machines."""

from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

_WIDTH = 130


class Figure(msgspec.Struct):
    """One measurement: the platform's value, that of what it is compared with, and the bars it should clear.

    `least` and `most` are about the value, `least_ratio` about its part of the base.
    """

    name: str
    value: float
    unit: str
    base: float | None = None
    least: float | None = None
    most: float | None = None
    least_ratio: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The value as a part of the base."""
        return self.value / self.base if self.base else None

    @property
    def clears(self) -> bool | None:
        """Whether it clears every bar it has; none where it has none."""
        verdicts = [
            *([] if self.least is None else [self.value >= self.least]),
            *([] if self.most is None else [self.value <= self.most]),
            *([] if self.least_ratio is None else [(self.ratio or 0) >= self.least_ratio]),
        ]
        return all(verdicts) if verdicts else None


def show(figures: list[Figure]) -> None:
    """Print the table."""
    table = Table(title="Millrace against a bare uvicorn + asyncpg application")
    table.add_column("what")
    for column in ("millrace", "bare", "ratio", "bar", ""):
        table.add_column(column, justify="right")
    table.add_column("note", style="dim")
    for figure in figures:
        table.add_row(*_cells(figure))
    console = Console()
    console.width = max(console.width, _WIDTH)
    console.print(table)


def write(figures: list[Figure], busy: float, path: Path) -> None:
    """Write them as JSON, with the load average that the run found."""
    rows = [{**msgspec.to_builtins(figure), "ratio": figure.ratio, "clears": figure.clears} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"load_before": busy, "figures": rows})) + b"\n")


def _cells(figure: Figure) -> list[str]:
    bars = (("≥ {:,g}", figure.least), ("≤ {:,g}", figure.most), ("≥ {:g} of bare", figure.least_ratio))
    verdict = {True: "[green]ok[/]", False: "[red]short[/]", None: ""}[figure.clears]
    return [
        figure.name,
        f"{figure.value:,.{0 if figure.value >= 100 else 1}f} {figure.unit}",
        "" if figure.base is None else f"{figure.base:,.0f}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        ", ".join(form.format(bar) for form, bar in bars if bar is not None),
        verdict,
        figure.note,
    ]
