from pathlib import Path

import pytest

from libs.common import sql

TEXT = """\
-- name: one -> Row
-- A sentence about it.
select a
from t;

-- name: two
delete from t;
"""


def written(directory: Path, text: str) -> str:
    """The path of a module with this text beside it."""
    (directory / "module.sql").write_text(text)
    return str(directory / "module.py")


def test_statements_are_loaded_by_name(tmp_path: Path) -> None:
    """Each has its text without comments and semicolon, and the name of its Struct."""
    found = sql.load(written(tmp_path, TEXT))
    assert dict(found) == {"one": "select a\nfrom t", "two": "delete from t"}
    assert [statement.row for statement in found.statements] == ["Row", None]


def test_a_name_occurs_once(tmp_path: Path) -> None:
    """Two statements of one name are a mistake that is seen at once."""
    with pytest.raises(ValueError, match="twice"):
        sql.load(written(tmp_path, TEXT + TEXT))
