"""Restoring a cluster to a moment, and proving that a base backup and the WAL after it restore."""

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from libs.common.migrate import SERVICES
from ops.backup.load import held
from ops.backup.physical.archive import Archive, archives
from ops.backup.physical.manifest import BaseManifest
from ops.backup.physical.objects import Objects
from ops.backup.physical.recover import recovered
from ops.backup.store import BackupFailed


def restore_to(objects: Objects, identity: str, moment: datetime | None, data: Path) -> tuple[str, Path | None]:
    """Makes the cluster as it was at a moment, or as of all that was archived.

    Returns the base backup's name, and where what was at `data` has been put, if there was anything.
    """
    archive = newest(objects)
    base = archive.before(moment)
    target = {} if moment is None else {"recovery_target_time": moment.astimezone(UTC).isoformat()}
    making = data.with_name(f"{data.name}.recovering")
    with recovered(archive, base, identity, target, making):
        pass
    aside = data.with_name(f"{data.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}") if data.exists() else None
    if aside:
        data.rename(aside)
    making.rename(data)
    return base, aside


def prove(objects: Objects, identity: str, name: str) -> tuple[str, BaseManifest]:
    """Restores a base backup to the moment at which its tables were counted, in a place of its own, and compares.

    Raises `BackupFailed`.
    """
    archive = newest(objects)
    names = archive.bases()
    name = names[-1] if name == "latest" and names else name
    if name not in names:
        raise BackupFailed(f"There is no physical backup {name}; there are: {', '.join(names) or 'none'}")
    manifest = archive.manifest(name)
    with tempfile.TemporaryDirectory(prefix="millrace-") as directory:
        target = {"recovery_target_name": manifest.point}
        # Nothing of it has to last, nor is it written to.
        hasty = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
        with recovered(archive, name, identity, target, Path(directory) / "data", **hasty) as dsn:
            restored = asyncio.run(held(dsn, SERVICES))
    if differences := [
        f"{service}.{table}: {counted}, restored {restored[service].get(table, 'absent')}"
        for service, tables in manifest.tables.items()
        for table, counted in tables.items()
        if restored[service].get(table) != counted
    ]:
        raise BackupFailed("\n".join([f"{name} does not restore to what was backed up:", *differences]))
    return name, manifest


def newest(objects: Objects) -> Archive:
    """The archive of the cluster that was backed up last."""
    known = archives(objects)
    if not known:
        raise BackupFailed("There is no physical backup in this archive")
    return known[-1]
