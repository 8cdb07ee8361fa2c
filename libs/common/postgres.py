"""PostgreSQL: a pool whose connections are only handed out inside a transaction that names its tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from libs.common import connections
from libs.common.connections import Connections, Use
from libs.common.errors import Unavailable
from libs.common.settings import DatabaseSettings, Latest, latest
from libs.common.transactions import AWAY, Outer, Savepoint, Transaction, held_by, translate

Connection: TypeAlias = connections.Connection

IN_TENANT: Final = "with tenant as materialized (select set_config('app.tenant_id', $1::text, true)::uuid as id) "


class _Raw(asyncpg.Connection):
    """Nothing of a session outlives a transaction here, so releasing needs no reset round trip."""

    def get_reset_query(self) -> str:
        return ""


class Lane(NamedTuple):
    """A third as many connections beside those of a pool, for statements that are planned in a way of their own."""

    name: str
    settings: tuple[tuple[str, str], ...]


class Database:
    """The pool of one service. Made without a connection, so that start order does not matter.

    Each new connection takes the password that the DSN has by then. Where the server does not know it yet, the one that
    was good before is tried, so a password is renewed by writing the file first and altering the role afterwards.
    """

    def __init__(
        self, dsn: str | Latest, *, pool_size: int = 10, statement_seconds: float = 15.0, name: str = "millrace"
    ):
        self._dsn: Latest = dsn if callable(dsn) else lambda: dsn
        self._good = self._dsn()
        self._size = pool_size
        self._pool: Connections | None = None
        self._lanes: dict[Lane, Connections] = {}
        self.announced: list[Callable[[], None]] = []
        self.written: list[Callable[[UUID], None]] = []
        self._server_settings = {
            "application_name": name,
            "jit": "off",
            "statement_timeout": str(int(statement_seconds * 1000)),
            "lock_timeout": "5000",
            "idle_in_transaction_session_timeout": "30000",
        }

    @classmethod
    def of(cls, settings: DatabaseSettings, name: str) -> "Database":
        """The pool that a process's settings describe."""
        return cls(
            latest("DATABASE_URL", settings.database_url),
            pool_size=settings.database_pool_size,
            statement_seconds=settings.statement_seconds,
            name=name,
        )

    def wrote(self, writer: UUID) -> None:
        """Tells of what a principal has committed other than by a request of theirs."""
        for callback in self.written:
            callback(writer)

    async def start(self) -> None:
        """Opens the pool; connections are made when they are needed."""
        self._pool = await self._made(self._size, {})

    async def _made(self, size: int, settings: Mapping[str, str]) -> Connections:
        pool = await asyncpg.create_pool(
            connect=self._dial,
            min_size=0,
            max_size=size,
            timeout=5.0,
            connection_class=_Raw,
            server_settings={**self._server_settings, **settings},
        )
        return Connections(pool, size)

    async def _dial(self, dsn: str | None = None, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        dsn = dsn or self._dsn()
        try:
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(dsn, **options)
        except asyncpg.InvalidPasswordError:
            if dsn == self._good:
                raise
            return await self._dial(self._good, **options)
        self._good = dsn
        return connection

    async def stop(self) -> None:
        """Closes the pool; statements that hang are cut off after five seconds."""
        pools = [*self._lanes.values(), *([] if self._pool is None else [self._pool])]
        try:
            async with asyncio.timeout(5):
                await asyncio.gather(*(pool.close() for pool in pools))
        except TimeoutError:
            for pool in pools:
                pool.terminate()

    @property
    def size(self) -> int:
        """How many connections there are at most."""
        return self._size

    @property
    def use(self) -> dict[str, Use]:
        """How the `main` connections and those of lanes are used; nothing before the pool is open."""
        pools = {} if self._pool is None else {"main": self._pool}
        pools |= {lane.name: it for lane, it in self._lanes.items()}
        return {name: it.use for name, it in pools.items()}

    @property
    def pool(self) -> Connections:
        """The connections themselves, for this module and its transactions."""
        if self._pool is None:
            raise Unavailable("The database pool is not open")
        return self._pool

    async def lane(self, lane: Lane) -> Connections:
        """The connections of a lane, for this module; there are none before they are needed."""
        if lane not in self._lanes:
            made = await self._made(max(2, self._size // 3), dict(lane.settings))
            self._lanes.setdefault(lane, made)
        return self._lanes[lane]

    @asynccontextmanager
    async def turn(self, lane: Lane) -> AsyncIterator[None]:
        """A turn of what asks several times in a lane, so that it queues once; as many have one as can ask at once."""
        places = await self.lane(lane)
        try:
            await places.enter()
        except TimeoutError as error:
            raise translate(error) from error
        try:
            yield
        finally:
            places.leave()

    async def acquire(self, pool: Connections | None = None) -> Connection:
        """A connection, for transactions; waits five seconds at most."""
        try:
            return await (pool or self.pool).take()
        except (*AWAY, TimeoutError) as error:
            raise translate(error) from error

    def tenant(self, tenant_id: UUID, also: str = "") -> Transaction:
        """A transaction in which exactly the rows of one tenant exist; within an outer one of it, a savepoint.

        What is `also` to be done at its beginning, statements without parameters, costs no round trip of its own.
        """
        if (outer := held_by(self, tenant_id)) is not None:
            return Savepoint(self, outer.connection, also)
        return self._tenant(tenant_id, also)

    def outer(self, tenant_id: UUID) -> Outer:
        """A transaction of a tenant which holds all that its task does in that tenant until the block ends."""
        return Outer(self, tenant_id, self._tenant(tenant_id))

    def _tenant(self, tenant_id: UUID, also: str = "") -> Transaction:
        begin = f"begin; select set_config('app.tenant_id', '{UUID(int=tenant_id.int)}', true)"
        return Transaction(self, begin, also)

    async def look_up(self, tenant_id: UUID, statement: str, *params: object) -> "asyncpg.Record | None":
        """The row of a statement in a transaction of its own and of one tenant, in a single round trip.

        The statement selects `from tenant cross join lateral (… offset 0)`, and inside refers to `tenant.id`: so the
        tenant is set before any row is looked at, and a statement that gets this wrong finds nothing.
        """
        rows = await self.look_through(tenant_id, statement, *params)
        return rows[0] if rows else None

    async def look_through(
        self, tenant_id: UUID, statement: str, *params: object, lane: Lane | None = None
    ) -> "list[asyncpg.Record]":
        """The same for many rows, if need be by the connections of a lane; its first parameter is the tenant's text."""
        if (outer := held_by(self, tenant_id)) is not None:
            async with Savepoint(self, outer.connection) as held:
                return await held.fetch(IN_TENANT + statement, str(tenant_id), *params)
        pool = self.pool if lane is None else await self.lane(lane)
        connection = await self.acquire(pool)
        try:
            return await connection.fetch(IN_TENANT + statement, str(tenant_id), *params)
        except Exception as error:
            raise translate(error) from error
        finally:
            await pool.give(connection)

    def system(self) -> Transaction:
        """A transaction without a tenant: no row of a tenant table is visible in it."""
        return Transaction(self, "begin")

    def relay(self, role: str, *, durable: bool = True) -> Transaction:
        """A transaction of the outbox relay, which sees the outbox of all tenants and nothing else; unless it is to be
        `durable`, its commit does not wait for the disk, and a crash within half a second may take it back.
        """
        also = "" if durable else "set local synchronous_commit = off"
        return Transaction(self, f"begin; set local role {role}", also)

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool, to listen on; the caller closes it."""
        try:
            return await self._dial(timeout=5.0, server_settings=self._server_settings)
        except AWAY as error:
            raise translate(error) from error
