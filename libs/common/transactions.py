"""Transactions of a pool, and what a failing driver means.

A task may hold one *outer* transaction: then all transactions of the same tenant that it begins are savepoints of it.
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from libs.common.connections import Connection
from libs.common.errors import AppError, Conflict, Unavailable

if TYPE_CHECKING:
    from libs.common.postgres import Database

AWAY: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
"""What the driver raises where the server is not there, or no longer."""


class Transaction:
    """`async with` gives a connection; leaving it commits, or rolls back on an error."""

    __slots__ = ("_begin", "_connection", "_database", "announces")

    def __init__(self, database: "Database", begin: str, also: str = "") -> None:
        self._database = database
        self._begin = f"{begin}; {also}" if also else begin
        self._connection: Connection | None = None
        self.announces = False

    async def __aenter__(self) -> Connection:
        connection = await self._database.acquire()
        try:
            await connection.execute(self._begin)
        except BaseException as error:
            await self._database.pool.give(connection)
            raise translate(error) from error
        self._connection = connection
        _open[id(connection)] = self
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        connection = self._connection
        assert connection is not None
        del _open[id(connection)]
        alive = _alive(connection)
        try:
            if alive:
                await connection.execute("commit" if error is None else "rollback")
            elif error is None:
                raise Unavailable("The database went away")
        except Exception as failure:
            raise translate(error or failure) from failure
        finally:
            await self._database.pool.give(connection)
        _raise_translated(error, alive=alive)
        if self.announces and error is None:
            for callback in self._database.announced:
                callback()


_open: dict[int, Transaction] = {}


def announce(connection: Connection) -> None:
    """When the transaction that is open on a connection is committed, its database's `announced` are called.

    NOTIFY would tell of it too, but makes all commits of the server wait for one another.
    """
    if (transaction := _open.get(id(connection))) is not None:
        transaction.announces = True


def _raise_translated(error: BaseException | None, *, alive: bool) -> None:
    if error is None or (alive and isinstance(error, asyncpg.InterfaceError)):
        return  # On a living connection the driver complains of its caller: a fault of ours, not an outage.
    if (known := translate(error)) is not error:
        raise known from error


class Savepoint(Transaction):
    """A part of an outer transaction: leaving it keeps what was done for now, or takes it back on an error."""

    __slots__ = ("_held",)

    def __init__(self, database: "Database", held: Connection, also: str = "") -> None:
        super().__init__(database, "savepoint nested", also)
        self._held = held

    async def __aenter__(self) -> Connection:
        try:
            await self._held.execute(self._begin)
        except Exception as error:
            raise translate(error) from error
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        alive = _alive(self._held)
        try:
            if alive and error is None:
                await self._held.execute("release savepoint nested")
            elif alive:
                await self._held.execute("rollback to savepoint nested; release savepoint nested")
            elif error is None:
                raise Unavailable("The database went away")
        except Exception as failure:
            raise translate(error or failure) from failure
        _raise_translated(error, alive=alive)


class Outer:
    """`async with` gives the connection of an outer transaction; leaving it commits all, or rolls all back."""

    def __init__(self, database: "Database", tenant_id: UUID, transaction: Transaction) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._transaction = transaction
        self._task: asyncio.Task[object] | None = None
        self._committed: list[Callable[[], None]] = []
        self.connection: Connection

    def holds(self, database: "Database", tenant_id: UUID) -> bool:
        """Whether a transaction that begins now is a part of this one; one of a task that it began is not."""
        return self._task is asyncio.current_task() and database is self._database and tenant_id == self._tenant_id

    async def __aenter__(self) -> Connection:
        self.connection = await self._transaction.__aenter__()
        self._task = asyncio.current_task()
        _outer.set(self)
        return self.connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task = None
        _outer.set(None)
        await self._transaction.__aexit__(kind, error, trace)
        if error is None:
            for callback in self._committed:
                callback()

    def after_commit(self, callback: Callable[[], None]) -> bool:
        """Calls back after the commit, if the running task is the one that holds this."""
        if self._task is not asyncio.current_task():
            return False
        self._committed.append(callback)
        return True


_outer: ContextVar[Outer | None] = ContextVar("outer", default=None)


def held_by(database: "Database", tenant_id: UUID) -> Outer | None:
    """The outer transaction that what begins now is a part of."""
    outer = _outer.get()
    return outer if outer is not None and outer.holds(database, tenant_id) else None


def after_commit(callback: Callable[[], None]) -> None:
    """Calls back now, after a transaction of one's own; within an outer one when that is committed, or else never."""
    outer = _outer.get()
    if outer is None or not outer.after_commit(callback):
        callback()


def _alive(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # The pool took a connection back that had died.
        return False


def translate(error: BaseException) -> BaseException:
    """The kind of error that a driver's error is, or the error itself."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, asyncpg.QueryCanceledError):
        return Unavailable("The statement took too long", code="statement-timeout", retry_after=5)
    if isinstance(error, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflict("Others are changing the same rows; try again", code="busy", retry_after=1)
    if isinstance(error, (*AWAY, TimeoutError)):
        return Unavailable("The database is away", code="database-unavailable", retry_after=2)
    return error
