"""Deployments are noted where they outlive the pods, and say what to go back to."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from libs.common.migrate import SERVICES
from ops.backup.load import compare
from ops.backup.store import Store
from ops.backup.take import take
from tests.ops.backup.test_backup import IDENTITY, RECIPIENT, millrace
from tests.support.postgres import Database

pytestmark = pytest.mark.integration


async def deploy(database: Database, *arguments: str) -> tuple[int, str]:
    """`millrace deploy …`: its exit code and what it said."""
    done = await asyncio.to_thread(millrace, "deploy", *arguments, MIGRATION_DATABASE_URL=database.dsn("migrate"))
    return done.returncode, done.stdout + done.stderr


async def test_what_to_go_back_to_is_what_ran_before(database: Database) -> None:
    """Each environment has its own history; failed deployments never ran, and a given version wins."""
    to = ("--environment", "production")
    assert "Nothing ran in production" in (await deploy(database, "rollback-version", *to))[1]
    await deploy(database, "record", "0.1.0", *to, "--who", "olga", "--revision", "a" * 40)
    await deploy(database, "record", "0.9.0", "--environment", "staging", "--who", "ben")
    await deploy(database, "record", "0.2.0", *to, "--who", "olga")
    assert await deploy(database, "rollback-version", *to) == (0, "0.1.0\n")
    await deploy(database, "record", "0.3.0", *to, "--who", "olga", "--outcome", "failed")
    assert await deploy(database, "rollback-version", *to) == (0, "0.1.0\n")
    code, told = await deploy(database, "record", "0.3.1", *to, "--who", "ben", "--rollback-version", "0.1.0")
    assert (code, told.rstrip().endswith("0.3.1 succeeded by ben, back to 0.1.0")) == (0, True)
    _, lines = await deploy(database, "list", *to, "--json")
    versions = [(line["version"], line["outcome"]) for line in map(json.loads, lines.splitlines())]
    await deploy(database, "record", "0.1.0", *to, "--who", "helm crm")
    assert "0.1.0 rolled_back by helm crm" in (await deploy(database, "list", *to, "--limit", "1"))[1]
    assert "Nothing ran in production" in (await deploy(database, "rollback-version", *to))[1]
    assert versions == [("0.3.1", "succeeded"), ("0.3.0", "failed"), ("0.2.0", "succeeded"), ("0.1.0", "succeeded")]


async def test_no_service_sees_the_log_and_backups_hold_it(database: Database, tmp_path: Path) -> None:
    """It is the operators' alone, and restored with everything else."""
    await deploy(database, "record", "0.1.0", "--environment", "production", "--who", "olga")
    for service in SERVICES:
        connection = await asyncpg.connect(database.dsn(service))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("select version from operations.deployments")
        await connection.close()
    _, manifest = await take(database.admin_dsn, RECIPIENT, Store(tmp_path))
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute("truncate operations.deployments")
    environ = {"ADMIN_DATABASE_URL": database.admin_dsn, "BACKUP_FOLDER": str(tmp_path)}
    done = await asyncio.to_thread(millrace, "restore", "--replace", BACKUP_IDENTITY=str(IDENTITY), **environ)
    assert done.returncode == 0, done.stderr
    assert await compare(database.admin_dsn, manifest) == []
    assert await admin.fetchval("select version from operations.deployments") == "0.1.0"
    await admin.close()
    assert (await deploy(database, "record", "0.2.0", "--environment", "production", "--who", "olga"))[0] == 0
