"""Filters under row level security may use indexes: their functions are marked where a superuser can."""

import asyncpg
import pytest

from libs.common.filters import LEAKPROOF
from tests.support.postgres import Database


@pytest.mark.integration
async def test_what_filters_use_is_marked_leakproof(database: Database) -> None:
    """Each function that the SQL of filters calls is marked in a database that `millrace migrate` prepared."""
    connection = await asyncpg.connect(database.admin_dsn)
    unmarked = [
        name
        for name in LEAKPROOF
        if not await connection.fetchval("select proleakproof from pg_proc where oid = $1::regprocedure", name)
    ]
    await connection.close()
    assert unmarked == []
