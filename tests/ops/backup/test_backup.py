"""What was backed up comes back, whole and readable by the key's owner alone."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pyrage
import pytest

from libs.common import migrate
from ops.backup import BackupFailed, Store
from ops.backup.load import compare
from ops.backup.store import read_manifest
from ops.backup.take import take
from ops.backup.verify import verify
from ops.embedded import Postgres, free_port
from ops.embedded.postgres import FORGETFUL
from ops.embedded.server import started
from ops.stack.home import PROJECT
from tests.support.logs import leaks
from tests.support.postgres import PASSWORDS, Database

IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
ROWS = 500


def millrace(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does."""
    given = {**os.environ, "MILLRACE_HOME": "/nonexistent", "BACKUP_RECIPIENT": RECIPIENT, **environ}
    run = [sys.executable, "-c", "from ops.cli import main; main()", *arguments]
    done = subprocess.run(run, env=given, cwd=PROJECT, capture_output=True, text=True, timeout=240)
    # What a job says ends in a log; only making a key is no job.
    said = done.stdout + done.stderr
    assert arguments == ("backup", "key") or list(leaks(said, {"backups": str(IDENTITY)})) == [], said
    return done


@pytest.fixture
async def filled(database: Database) -> Database:
    """A database with rows of two tenants in it, written by the service's own role under row level security."""
    connection = await asyncpg.connect(database.dsn("records"))
    for tenant in (uuid4(), uuid4()):
        await fill(connection, tenant)
    await connection.close()
    return database


async def fill(connection: "asyncpg.Connection[asyncpg.Record]", tenant: object) -> None:
    """Rows with everything that text can hold."""
    async with connection.transaction():
        await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenant))
        await connection.executemany(
            "insert into inbox (tenant_id, consumer, event_id) values ($1, $2, $3)",
            [(tenant, f"näme \\ ' \t\n{number}", uuid4()) for number in range(ROWS)],
        )


@pytest.fixture
def cluster(tmp_path: Path) -> Postgres:
    """A server whose data folder can be destroyed."""
    return Postgres(tmp_path / "cluster" / "data", free_port(), PASSWORDS["migrate"], FORGETFUL)


async def migrated(server: Postgres) -> None:
    """The roles and the schemas."""
    await migrate.bootstrap(server.url, PASSWORDS)
    for service in migrate.SERVICES:
        dsn = server.dsn("millrace_migrate", PASSWORDS["migrate"], "postgres")
        await migrate.up(dsn, service, PROJECT / "services" / service / "migrations")


@contextmanager
def up(server: Postgres) -> Iterator[Postgres]:
    """The server for the length of a block; its data stays."""
    server.prepare()
    process = started(server)
    try:
        yield server
    finally:
        process.stop()


async def test_what_was_destroyed_is_restored(cluster: Postgres, tmp_path: Path) -> None:
    """Rows are written, backed up, the data folder is deleted, and on a new server everything is there again."""
    environ = {"ADMIN_DATABASE_URL": cluster.url, "BACKUP_FOLDER": str(tmp_path / "backups")}
    records, tenant = cluster.dsn("millrace_records", PASSWORDS["records"], "postgres"), uuid4()
    with up(cluster):
        await migrated(cluster)
        connection = await asyncpg.connect(records)
        await fill(connection, tenant)
        await connection.close()
        made = await asyncio.to_thread(millrace, "backup", **environ)
        assert made.returncode == 0, made.stderr
    shutil.rmtree(cluster.data)
    with up(cluster):
        await migrate.bootstrap(cluster.url, PASSWORDS)
        done = await asyncio.to_thread(millrace, "restore", BACKUP_IDENTITY=str(IDENTITY), **environ)
        assert done.returncode == 0, done.stderr
        assert f"restored, {ROWS + _migrations()} rows" in done.stdout
        connection = await asyncpg.connect(records)
        assert await connection.fetchval("select count(*) from inbox") == 0, "row level security came back as well"
        async with connection.transaction():
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(tenant))
            assert await connection.fetchval("select count(*) from inbox") == ROWS
        await connection.close()
        again = await asyncio.to_thread(millrace, "restore", BACKUP_IDENTITY=str(IDENTITY), **environ)
        assert (again.returncode, "--replace" in again.stderr) == (1, True)


def _migrations() -> int:
    return sum(
        len(migrate.read(service, PROJECT / "services" / service / "migrations")) for service in migrate.SERVICES
    )


async def test_a_restored_schema_is_the_migrated_one(filled: Database, tmp_path: Path) -> None:
    """Restored over another state every table is as it was, and migrations find nothing to do; not under a service."""
    environ = {"ADMIN_DATABASE_URL": filled.admin_dsn, "BACKUP_FOLDER": str(tmp_path)}
    made = await asyncio.to_thread(millrace, "backup", LOG_FORMAT="json", **environ)
    assert made.returncode == 0, made.stderr
    [line] = [json.loads(line) for line in (made.stdout + made.stderr).splitlines()]
    assert (line["service"], line["level"], " rows in " in line["event"]) == ("operations", "info", True)
    connection = await asyncpg.connect(filled.admin_dsn)
    await connection.execute("delete from records.inbox where consumer like '%7'; drop table realtime.inbox")
    manifest = read_manifest(Store(tmp_path).path("latest"))
    assert [line.partition(":")[0] for line in await compare(filled.admin_dsn, manifest)] == [
        "records.inbox",
        "realtime.inbox",
    ]
    service = await asyncpg.connect(filled.dsn("records"), server_settings={"application_name": "records 7"})
    replace = ("restore", "--replace")
    as_job = {"LOG_FORMAT": "json", "BACKUP_IDENTITY": str(IDENTITY), **environ}
    refused = await asyncio.to_thread(millrace, *replace, **as_job)
    [line] = [json.loads(line) for line in (refused.stdout + refused.stderr).splitlines()]
    assert (refused.returncode, line["level"], "_records (records 7, 1)" in line["event"]) == (1, "error", True), line
    assert await compare(filled.admin_dsn, manifest) != []
    done = await asyncio.to_thread(millrace, *replace, "--connected", BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert done.returncode == 0, done.stderr
    await service.close()
    assert await compare(filled.admin_dsn, manifest) == []
    migrated = await asyncio.to_thread(millrace, "migrate", MIGRATION_DATABASE_URL=filled.dsn("migrate"))
    assert {line.partition(": ")[2] for line in migrated.stdout.splitlines()} == {"nothing to do"}, migrated.stderr
    await connection.close()


async def test_a_backup_is_of_one_moment(filled: Database, tmp_path: Path) -> None:
    """Rows that are written while it is made are in none of its files, so it restores to what was counted."""
    writing = asyncio.create_task(_write_on(filled))
    name, manifest = await take(filled.admin_dsn, RECIPIENT, Store(tmp_path))
    writing.cancel()
    written = await writing
    assert written > 0
    assert await compare(filled.admin_dsn, manifest) != []
    assert await verify(tmp_path / name, str(IDENTITY)) == manifest


async def _write_on(database: Database) -> int:
    connection = await asyncpg.connect(database.dsn("records"))
    rounds = 0
    try:
        while True:
            await fill(connection, uuid4())
            rounds += 1
    except asyncio.CancelledError:
        return rounds
    finally:
        connection.terminate()


async def test_a_backup_tells_nothing_without_the_key(filled: Database, tmp_path: Path) -> None:
    """No row and no column's name can be read from its files, and another key does not open them."""
    name, manifest = await take(filled.admin_dsn, RECIPIENT, Store(tmp_path))
    for dump in manifest.services.values():
        content = (tmp_path / name / dump.file).read_bytes()
        assert content.startswith(b"age-encryption.org/v1\n")
        assert b"PGDMP" not in content
        assert b"tenant_id" not in content
    with pytest.raises(BackupFailed, match="cannot be decrypted"):
        await verify(tmp_path / name, str(pyrage.x25519.Identity.generate()))


async def test_a_failed_restore_changes_nothing(filled: Database, tmp_path: Path) -> None:
    """With a wrong key the data that is there stays as it is."""
    environ = {"ADMIN_DATABASE_URL": filled.admin_dsn, "BACKUP_FOLDER": str(tmp_path)}
    _, manifest = await take(filled.admin_dsn, RECIPIENT, Store(tmp_path))
    wrong = str(pyrage.x25519.Identity.generate())
    done = await asyncio.to_thread(millrace, "restore", "--replace", BACKUP_IDENTITY=wrong, **environ)
    assert done.returncode == 1
    assert "cannot be decrypted" in done.stderr
    assert await compare(filled.admin_dsn, manifest) == []


async def test_damage_is_noticed(filled: Database, tmp_path: Path) -> None:
    """One changed byte in a file is found before anything is restored."""
    name, manifest = await take(filled.admin_dsn, RECIPIENT, Store(tmp_path))
    path = tmp_path / name / manifest.services["records"].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackupFailed, match="the file of records is missing or damaged"):
        await verify(tmp_path / name, str(IDENTITY))


def test_only_the_newest_are_kept_and_halves_are_none(tmp_path: Path) -> None:
    """Retention counts whole backups; one that broke off is not listed and leaves nothing."""
    store = Store(tmp_path)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day in range(5):
        with store.adding(start + timedelta(days=day)) as directory:
            (directory / "manifest.json").touch()
    with pytest.raises(RuntimeError), store.adding(start + timedelta(days=9)):
        raise RuntimeError
    assert store.forget(2) == ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"]
    assert store.names() == ["20260104T000000Z", "20260105T000000Z"]
    assert {path.name for path in tmp_path.iterdir()} == set(store.names())


def test_what_an_operator_got_wrong_is_told(tmp_path: Path) -> None:
    """No key, a wrong key, no backup: a sentence each."""
    folder = {"BACKUP_FOLDER": str(tmp_path), "ADMIN_DATABASE_URL": "postgresql://127.0.0.1:9/none"}
    assert "no public key of age" in millrace("backup", **folder, BACKUP_RECIPIENT="age1").stderr
    assert "No backup was made" in millrace("backup", **folder).stderr
    assert "There is no backup latest" in millrace("backup", "verify", **folder).stderr
    assert "There is no backup 2026" in millrace("restore", "2026", **folder).stderr


def test_a_made_key_pair_fits_together() -> None:
    """What `backup key` prints encrypts and decrypts."""
    lines = dict(line.split("=") for line in millrace("backup", "key").stdout.splitlines())
    recipient = pyrage.x25519.Recipient.from_str(lines["BACKUP_RECIPIENT"])
    identity = pyrage.x25519.Identity.from_str(lines["BACKUP_IDENTITY"])
    assert pyrage.decrypt(pyrage.encrypt(b"row", [recipient]), [identity]) == b"row"
