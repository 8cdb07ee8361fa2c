"""Named SQL statements, kept as SQL beside the module that runs them.

A file holds statements of the form::

    -- name: get_record -> RecordRow
    -- One record that is not in the trash.
    select id, version from records where tenant_id = $1 and id = $2;

`-> RecordRow` names the Struct in the module of the same name whose fields are the columns, in order.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)(?: -> (\w+))?\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement's text, and the name of the Struct of its rows."""

    name: str
    text: str
    row: str | None


class Statements(dict[str, str]):
    """The statements of one file by name: `SQL["get_record"]` is the text."""

    def __init__(self, statements: list[Statement]) -> None:
        super().__init__({statement.name: statement.text for statement in statements})
        self.statements = statements


def load(module_file: str) -> Statements:
    """Loads the `.sql` file beside a module: `SQL = sql.load(__file__)`."""
    parts = _NAME.split(Path(module_file).with_suffix(".sql").read_text())
    found = [Statement(name, _clean(body), row) for name, row, body in zip(*[iter(parts[1:])] * 3, strict=True)]
    if len({statement.name for statement in found}) != len(found):
        raise ValueError(f"{module_file}: a statement name occurs twice")
    return Statements(found)


def _clean(body: str) -> str:
    lines = (line for line in body.splitlines() if not line.startswith("--"))
    return "\n".join(lines).strip().removesuffix(";")
