"""Fields of a record that sockets hold, as nodes tell each other and show to those who may see them."""

from uuid import UUID

import msgspec

from services.realtime.domain.messages import Person


class Lock(msgspec.Struct, frozen=True):
    """A field that a connection on a node holds by a token; to others shown until then (epoch seconds)."""

    node: str
    connection: str
    user: Person
    field: str
    token: int
    until: float = 0.0


class Board:
    """The locks of one record, as far as a node knows. Later tokens win; what has ended does not come back."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[Lock, float]] = {}
        self._ended: dict[str, int] = {}

    def put(self, lock: Lock, good_until: float) -> bool:
        """Notes a lock, which counts until then unless it is noted again; whether it was news."""
        if lock.token <= self._ended.get(lock.field, 0):
            return False
        present = self._locks.get(lock.field)
        if present is not None and present[0].token > lock.token:
            return False
        self._locks[lock.field] = (lock, good_until)
        return present is None or present[0].token != lock.token

    def end(self, lock: Lock) -> bool:
        """Notes that a lock has ended; whether it was known."""
        self._ended[lock.field] = max(lock.token, self._ended.get(lock.field, 0))
        present = self._locks.get(lock.field)
        if present is None or present[0].token > lock.token:
            return False
        del self._locks[lock.field]
        return True

    def stale(self, now: float) -> list[Lock]:
        """The locks that were not noted again in time."""
        return [lock for lock, good_until in self._locks.values() if good_until < now]

    def all(self) -> list[Lock]:
        """The locks."""
        return [lock for lock, _ in self._locks.values()]


class Holding(msgspec.Struct, frozen=True):
    """A lock as records is asked about it."""

    record_id: UUID
    field: str
    token: int
