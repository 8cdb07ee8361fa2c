import asyncio

import asyncpg
from structlog.testing import capture_logs

from libs.common.app import Platform
from libs.common.settings import DatabaseSettings
from tests.support.postgres import Database
from tests.support.waiting import eventually


async def test_a_database_that_is_not_ready_yet_is_waited_for(database: Database) -> None:
    """A process that finds a server which answers, but lets nobody in yet, migrates as soon as it does."""
    given = DatabaseSettings(
        port=0, redis_url="redis://127.0.0.1:1", nats_url="nats://127.0.0.1:1", database_url=database.dsn("pipelines"),
        migration_database_url=database.dsn("migrate"),
    )  # fmt: skip
    admin = await asyncpg.connect(database.admin_dsn)
    await admin.execute(f"alter database {database.name} connection limit 0")
    platform = Platform("pipelines", given)
    with capture_logs() as logs:
        migrating = asyncio.create_task(platform._migrate(database.dsn("migrate")))

        async def waited() -> bool:
            return sum(line["event"] == "waiting for the database" for line in logs) >= 2

        await eventually(waited)
        assert not migrating.done()
        await admin.execute(f"alter database {database.name} connection limit -1")
        await asyncio.wait_for(migrating, 60)
    assert logs[-1] == {"event": "migrated", "log_level": "info", "applied": []}
    await admin.close()
