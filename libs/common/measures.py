"""Gauges that are read, not kept up with each change: rows of tables, events not handled yet, connections in use."""

import asyncio
from collections.abc import Iterator

from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from libs.common import events
from libs.common.bus import Bus
from libs.common.errors import Unavailable
from libs.common.postgres import Database

EVERY_SECONDS = 15.0
# The server's own count, which no row level security hides and no scan is needed for.
_ROWS = "select relname, n_live_tup from pg_stat_user_tables where schemaname = current_schema()"


class Pools(Collector):
    """The connections of a service to PostgreSQL: use, saturation and bound of each pool, when they are asked for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._databases: dict[str, Database] = {}
        registry.register(self)

    def add(self, server: str, database: Database) -> None:
        """From now on the pools of this one are told of as well."""
        self._databases[server] = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """How many there are at most, how many are in use, and how many requests wait for one."""
        labels = ("server", "pool")
        most = GaugeMetricFamily("database_connections_max", "Connections that a pool has at most", labels=labels)
        taken = GaugeMetricFamily("database_connections_in_use", "Connections in use", labels=labels)
        waiting = GaugeMetricFamily("database_connections_waited_for", "Who waits for a connection", labels=labels)
        for server, database in self._databases.items():
            for pool, use in database.use.items():
                most.add_metric((server, pool), use.most)
                taken.add_metric((server, pool), use.taken)
                waiting.add_metric((server, pool), use.waiting)
        yield from (most, taken, waiting)


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
