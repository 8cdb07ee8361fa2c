"""`millrace bootstrap` prepares a PostgreSQL server for the services, with secrets as files."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from libs.common.migrate import SERVICES
from ops.embedded import Postgres, running
from ops.embedded.postgres import FORGETFUL
from ops.stack.home import PROJECT

PASSWORD = "of the administrator"


def millrace(command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command as a job of the cluster does."""
    given = {**os.environ, "MILLRACE_HOME": "/nonexistent", **environ}
    run = [sys.executable, "-c", "from ops.cli import main; main()", command]
    return subprocess.run(run, env=given, cwd=PROJECT, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of this test's own, since roles belong to the whole server."""
    with running(lambda data, port: Postgres(data, port, PASSWORD, FORGETFUL)) as server:
        yield server


def secrets(server: Postgres, directory: Path) -> dict[str, str]:
    """The DSNs as files, each role with a password of its own, and the variables that name the files."""
    roles = {"MIGRATION": "migrate", **{service.upper(): service for service in SERVICES}, "WATCH": "watch"}
    dsns = {f"{name}_DATABASE_URL": _dsn(server, role) for name, role in roles.items()}
    dsns["ADMIN_DATABASE_URL"] = server.url
    for name, dsn in dsns.items():
        (directory / name).write_text(dsn + "\n")
    return {f"{name}_FILE": str(directory / name) for name in dsns}


def _dsn(server: Postgres, role: str) -> str:
    return server.dsn(f"millrace_{role}", f"{uuid4().hex}%@", "postgres")


@pytest.mark.integration
async def test_an_empty_server_is_made_ready(server: Postgres, tmp_path: Path) -> None:
    """After bootstrap and migrate each service's role signs in and finds its schema; again changes passwords."""
    for _ in range(2):
        environ = secrets(server, tmp_path)
        made = millrace("bootstrap", environ)
        assert made.returncode == 0, made.stderr
        for service in SERVICES:
            connection = await asyncpg.connect((tmp_path / f"{service.upper()}_DATABASE_URL").read_text().strip())
            assert await connection.fetchval("select current_schema") == service
            await connection.close()
    watch = await asyncpg.connect((tmp_path / "WATCH_DATABASE_URL").read_text().strip())
    assert await watch.fetchval("select count(*) from pg_stat_activity where query is not null") > 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await watch.execute("create schema more")
    await watch.close()
    migrated = millrace("migrate", environ)
    assert migrated.returncode == 0, migrated.stderr
    assert migrated.stdout.startswith("auth: 0001_create_auth")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "set MIGRATION_DATABASE_URL, or MIGRATION_DATABASE_URL_FILE"),
        ({"MIGRATION_DATABASE_URL_FILE": "/nonexistent/file"}, "cannot be read"),
        ({"MIGRATION_DATABASE_URL": "postgresql://postgres:p@h/d"}, "an address of the role millrace_migrate"),
    ],
)
def test_what_is_missing_is_told(environ: dict[str, str], told: str) -> None:
    """A sentence names the variable, and nothing is tried."""
    done = millrace("bootstrap", environ)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
