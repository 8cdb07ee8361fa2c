from datetime import datetime

import msgspec

from ops.backup.manifest import Table


class BaseManifest(msgspec.Struct, frozen=True):
    """One copy of a cluster. It restores to `taken_at` and any later moment that the archive's WAL reaches.

    `first` is a WAL segment from which on everything is needed; `tables` were counted at the restore point `point`.
    """

    format: int
    taken_at: datetime
    postgres: str
    superuser: str
    database: str
    recipient: str
    first: str
    bytes: int
    sha256: str
    point: str
    tables: dict[str, dict[str, Table]]

    @property
    def rows(self) -> int:
        """Rows of all tables of all services."""
        return sum(table.rows for tables in self.tables.values() for table in tables.values())
