"""Gauges that are read every few seconds, not kept up with each change: rows of tables, and events not handled yet."""

import asyncio

from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Gauge

from libs.common import events
from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.postgres import Database

EVERY_SECONDS = 15.0
# The server's own count, which no row level security hides and no scan is needed for.
_ROWS = "select relname, n_live_tup from pg_stat_user_tables where schemaname = current_schema()"


class Measures:
    """What a service has stored, by table, and how many events wait for each of its consumers."""

    def __init__(self, database: Database, bus: Bus, registry: CollectorRegistry) -> None:
        self._database = database
        self._bus = bus
        self._rows = Gauge("stored_rows", "Rows of a table, as the database counts them", ("table",), registry=registry)
        self._behind = Gauge(
            "events_behind", "Events of the stream that wait for a consumer", ("consumer",), registry=registry
        )

    async def run(self) -> None:
        """Reads for ever; what cannot be read keeps its value."""
        while True:
            await self.read()
            await asyncio.sleep(EVERY_SECONDS)

    async def read(self) -> None:
        """Reads once."""
        for measure in (self._read_rows, self._read_behind):
            try:
                await measure()
            except (Unavailable, NatsError, TimeoutError, OSError):
                continue

    async def _read_rows(self) -> None:
        async with self._database.system() as connection:
            for table, rows in await connection.fetch(_ROWS):
                self._rows.labels(table).set(rows)

    async def _read_behind(self) -> None:
        for name in self._bus.consumers:
            info = await self._bus.jetstream.consumer_info(events.STREAM, name)
            self._behind.labels(name).set((info.num_pending or 0) + (info.num_ack_pending or 0))
