"""Field locks: leases with a fencing token, judged in the transaction that writes.

A lease ends by the database's clock, and may end too early or too late where that jumps. The token does not depend on
clocks: it grows with each grant, and a write that names one is done only while it is the present one (Kleppmann, *How
to do distributed locking*, 2016).
"""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import msgspec

from libs.common.errors import Conflict

LOCKED = "locked"
LOST = "lock-lost"
MAX_SECONDS = 300.0


class FieldLock(msgspec.Struct, frozen=True):
    """Who holds a field, by which token, and for how many seconds still; none where the lease has ended."""

    field: str
    token: int
    principal_id: UUID
    holder: str
    connection: str
    seconds: float

    @property
    def stands(self) -> bool:
        """Whether the lease still runs."""
        return self.seconds > 0


def check(locks: Iterable[FieldLock], changed: Collection[str], tokens: Collection[int], writer: UUID) -> None:
    """Raises `Conflict` where a changed field is another's, or where a token that is named is not the present one."""
    present = {lock.token: lock for lock in locks}
    own = {token for token in tokens if token in present and present[token].principal_id == writer}
    for lock in present.values():
        if lock.field in changed and lock.stands and lock.token not in own:
            raise locked(lock, lost=bool(tokens))
    if set(tokens) - own:
        raise Conflict("The lock that the write names is not held any more", code=LOST)


def locked(lock: FieldLock, *, lost: bool = False) -> Conflict:
    """The error of writing what somebody else holds; `lost` where the writer names a token that is too old."""
    extra: dict[str, Any] = {"field": lock.field, "holder": {"id": str(lock.principal_id), "name": lock.holder}}
    why = "; the lock that the write names is not held any more" if lost else ""
    return Conflict(f"'{lock.field}' is locked by somebody who is editing it{why}", code=LOCKED, extra=extra)
