from datetime import datetime

import msgspec


class Table(msgspec.Struct, frozen=True):
    """What a table held: the number of rows, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


class ServiceDump(msgspec.Struct, frozen=True):
    """The file of one service and the tables in it, by name."""

    file: str
    bytes: int
    sha256: str
    tables: dict[str, Table]


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds, as of the one snapshot that all its files were made from."""

    format: int
    taken_at: datetime
    postgres: str
    recipient: str
    services: dict[str, ServiceDump]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for dump in self.services.values() for table in dump.tables.values())
