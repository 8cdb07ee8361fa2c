"""Proving a backup by restoring it."""

from pathlib import Path
from secrets import token_urlsafe

from libs.common import migrate
from ops.backup.load import compare, load
from ops.backup.manifest import Manifest
from ops.backup.store import BackupFailed
from ops.embedded import Postgres, running
from ops.embedded.postgres import FORGETFUL


async def verify(directory: Path, identity: str) -> Manifest:
    """Restores a backup into a scratch server and compares every table with the manifest; raises `BackupFailed`."""
    password = token_urlsafe(24)
    with running(lambda data, port: Postgres(data, port, password, FORGETFUL)) as server:
        await migrate.bootstrap(server.url, dict.fromkeys(("migrate", *migrate.SERVICES), password))
        manifest = await load(server.url, directory, identity)
        if differences := await compare(server.url, manifest):
            raise BackupFailed("\n".join([f"{directory.name} does not restore to what was backed up:", *differences]))
    return manifest
