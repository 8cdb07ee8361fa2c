"""What is in the tables of a service: rows counted and summed up, to compare a copy with its original."""

from typing import TypeAlias

import asyncpg

from ops.backup.manifest import Table

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

# How values look as text must not depend on the server that is asked.
SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "pg_catalog",
}

_NAMES = """
    select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relkind = 'r' order by c.relname
"""
_SUMS = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {schema}.{table} t"

_ANY = "select exists (select from {schema}.{table})"


async def tables(connection: Connection, service: str) -> dict[str, Table]:
    """Every table of a service; the connection's role has to see all rows."""
    names = [row[0] for row in await connection.fetch(_NAMES, service)]
    return {name: await _table(connection, service, name) for name in names}


async def has_rows(connection: Connection, service: str, *, besides: str) -> bool:
    """Whether any table of a service but one has a row; told without reading the tables."""
    for (name,) in await connection.fetch(_NAMES, service):
        quoted = await connection.fetchval("select quote_ident($1)", name)
        if name != besides and await connection.fetchval(_ANY.format(schema=service, table=quoted)):
            return True
    return False


async def _table(connection: Connection, service: str, name: str) -> Table:
    quoted = await connection.fetchval("select quote_ident($1)", name)
    row = await connection.fetchrow(_SUMS.format(schema=service, table=quoted))
    assert row is not None
    return Table(row[0], row[1])
