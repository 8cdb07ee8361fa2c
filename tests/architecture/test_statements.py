"""Every named SQL statement is prepared on a migrated database, and its columns compared with its Struct."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import asyncpg
import msgspec
import pytest

from libs.common.postgres import IN_TENANT
from libs.common.sql import Statement, Statements, load
from tests.support.postgres import Database

ROOT = Path(__file__).parents[2]
RELEASED = Path(__file__).parent / "released" / "services"


def modules() -> Iterator[tuple[str, ModuleType, Statements]]:
    """Service, storage module and statements of each `.sql` file beside a module."""
    for path in sorted(ROOT.glob("services/*/storage/*.sql")):
        service = path.parents[1].name
        module = importlib.import_module(f"services.{service}.storage.{path.stem}")
        yield service, module, module.SQL


def statements() -> list[tuple[str, ModuleType, Statement]]:
    """Every statement that has no part left to be filled in."""
    return [
        (service, module, statement)
        for service, module, found in modules()
        for statement in found.statements
        if "{" not in statement.text
    ]


def whole(statement: Statement) -> str:
    """A statement as it is sent: `Database.look_up` puts the tenant before those that stand beside it."""
    return IN_TENANT + statement.text if "from tenant cross join lateral" in statement.text else statement.text


@pytest.mark.integration
async def test_every_statement_fits_the_schema_and_its_struct(database: Database) -> None:
    """As its service's role each statement can be prepared; its columns are its Struct's fields, in order."""
    wrong = []
    for service in sorted({service for service, _, _ in statements()}):
        connection = await asyncpg.connect(database.dsn(service))
        for _, module, statement in (found for found in statements() if found[0] == service):
            prepared = await connection.prepare(whole(statement))
            columns = tuple(attribute.name for attribute in prepared.get_attributes())
            if statement.row is not None:
                struct: type[msgspec.Struct] = getattr(module, statement.row)
                expected = tuple(field.name for field in msgspec.structs.fields(struct))
                if columns != expected:
                    wrong.append((module.__name__, statement.name, expected, columns))
        await connection.close()
    assert wrong == []


def test_columns_are_listed() -> None:
    """No statement asks for `*`: what a migration adds does not change what old code reads."""
    starred = [
        f"{module.__name__}.{statement.name}"
        for _, module, found in modules()
        for statement in found.statements
        if "select *" in statement.text.lower() or ".*" in statement.text
    ]
    assert starred == []


@pytest.mark.integration
async def test_the_last_release_runs_on_this_schema(database: Database) -> None:
    """Each statement of the released code can be prepared on the newest schema, so both can run side by side.

    `./taskw release:statements` takes those of this checkout down for the next time, at each release.
    """
    broken = []
    for service in sorted(path.name for path in RELEASED.iterdir()):
        connection = await asyncpg.connect(database.dsn(service))
        for path in sorted((RELEASED / service / "storage").glob("*.sql")):
            for statement in load(str(path)).statements:
                if "{" not in statement.text:
                    try:
                        await connection.prepare(whole(statement))
                    except asyncpg.PostgresError as error:
                        broken.append(f"{service} {path.stem}.{statement.name}: {error}")
        await connection.close()
    assert broken == []
