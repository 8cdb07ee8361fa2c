"""Logical backups: one snapshot of all services, a file per service, compressed, encrypted for one age recipient.

A backup is a directory named by its time (`20261121T134500Z`): `<service>.dump.age` is what `pg_dump` wrote in its
custom format, encrypted by age (https://age-encryption.org/v1), and `manifest.json` holds the SHA-256 of each file
and, of each table, the number of its rows and a checksum over them. It appears under its name only when it is whole.
"""

from ops.backup.manifest import Manifest, ServiceDump, Table
from ops.backup.store import BackupFailed, Store

__all__ = ["BackupFailed", "Manifest", "ServiceDump", "Store", "Table"]
