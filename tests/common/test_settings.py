from pathlib import Path

import pytest

from libs.common.settings import DatabaseSettings, SettingsError, load

GIVEN = {"PORT": "8001", "REDIS_URL": "redis://r", "NATS_URL": "nats://n", "DATABASE_URL": "postgres://d"}


def test_variables_become_fields() -> None:
    """Text becomes the field's type, and what is not given has its default."""
    found = load(DatabaseSettings, {**GIVEN, "STATEMENT_SECONDS": "2.5"})
    assert (found.port, found.statement_seconds, found.host) == (8001, 2.5, "127.0.0.1")


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    """`X_FILE` names the file that has X, without the line end; X itself goes first."""
    path = tmp_path / "dsn"
    path.write_text("postgres://secret\n")
    without = {name: value for name, value in GIVEN.items() if name != "DATABASE_URL"}
    assert load(DatabaseSettings, {**without, "DATABASE_URL_FILE": str(path)}).database_url == "postgres://secret"
    assert load(DatabaseSettings, {**GIVEN, "DATABASE_URL_FILE": str(path)}).database_url == "postgres://d"


def test_the_error_names_every_variable() -> None:
    """Missing, wrong and unreadable variables stand in one sentence, each by name."""
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings, {"PORT": "many", "NATS_URL_FILE": "/nowhere"})
    message = str(caught.value)
    assert all(name in message for name in ("PORT is wrong", "REDIS_URL is not set", "NATS_URL_FILE", "DATABASE_URL"))
