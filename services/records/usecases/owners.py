"""In whose name a link is open: its owner, with what their roles allow at this moment."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import NotFound
from libs.common.identity import Principal
from libs.common.ids import NIL
from libs.common.postgres import Database
from libs.common.roles import RoleStore
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog


class _Question(msgspec.Struct):
    tenant_id: UUID
    user_id: UUID


class Person(msgspec.Struct, frozen=True):
    """A user as auth knows them."""

    id: UUID
    name: str
    status: str
    roles: tuple[UUID, ...]


class Owners:
    """Asks who owners are now: whoever may not sign in any more shares nothing any more."""

    def __init__(self, bus: Bus, database: Database, roles: RoleStore, catalog: Catalog) -> None:
        self._bus = bus
        self._database = database
        self._roles = roles
        self._catalog = catalog

    async def caller(self, tenant_id: UUID, owner_id: UUID, called: str) -> Caller | None:
        """The owner as a caller; what is written so is told to be done by what is `called` so, in the owner's name."""
        try:
            person = await self._bus.request("rpc.auth.user", _Question(tenant_id, owner_id), Person)
        except NotFound:
            return None
        if person.status != "active":
            return None
        principal = Principal(
            tenant_id=tenant_id, id=person.id, kind="user", session_id=NIL, name=f"{called} of {person.name}",
            roles=person.roles, issued_at=0, expires_at=0,
        )  # fmt: skip
        permissions = await self._roles.permissions(principal)
        return Caller(principal, permissions, self._catalog, self._database)
