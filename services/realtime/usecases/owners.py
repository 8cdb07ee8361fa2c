"""What a person may see who is not asking just now: by the roles that they have at this moment."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import Principal
from libs.common.ids import NIL
from libs.common.permissions import Permissions
from libs.common.postgres import Database
from libs.common.roles import RoleStore
from services.realtime.domain.changes import Change
from services.realtime.domain.definitions import Definition
from services.realtime.domain.sight import Condition, Sight, Verdict, compile_sight, judge
from services.realtime.storage import users
from services.realtime.storage.users import Person
from services.realtime.usecases.groups import READ, RECORDS, condition

ACTIVE = "active"
MAX_ASKED = 20


class _Question(msgspec.Struct):
    tenant_id: UUID
    user_id: UUID


def person_of(principal: Principal) -> Person:
    """The person who comes with a token, and so may sign in."""
    return Person(principal.id, principal.name, ACTIVE, principal.roles)


class Owners:
    """Finds people and their present permissions."""

    def __init__(self, bus: Bus, database: Database, roles: RoleStore) -> None:
        self._bus = bus
        self._database = database
        self._roles = roles

    async def find(self, tenant_id: UUID, ids: Collection[UUID]) -> "dict[UUID, Owner]":
        """Those of the people who may sign in."""
        if not ids:
            return {}
        async with self._database.tenant(tenant_id) as connection:
            found = await users.known(connection, tenant_id, ids)
        found |= await self._met(tenant_id, [it for it in ids if it not in found][:MAX_ASKED])
        active = [it for it in found.values() if it.status == ACTIVE]
        return {it.id: Owner(it, await self._permissions(tenant_id, it)) for it in active}

    async def _met(self, tenant_id: UUID, ids: Collection[UUID]) -> dict[UUID, Person]:
        """People whose announcement has not come yet, as auth knows them; where it is away, nobody."""
        answers = await asyncio.gather(*(self._ask(tenant_id, it) for it in ids))
        found = {it.id: it for it in answers if it is not None}
        if found:
            async with self._database.tenant(tenant_id) as connection:
                for person in found.values():
                    await users.meet(connection, tenant_id, person)
        return found

    async def _ask(self, tenant_id: UUID, user_id: UUID) -> Person | None:
        try:
            return await self._bus.request("rpc.auth.user", _Question(tenant_id, user_id), Person)
        except (NotFound, Unavailable):
            return None

    async def _permissions(self, tenant_id: UUID, person: Person) -> Permissions:
        principal = Principal(
            tenant_id=tenant_id, id=person.id, kind="user", session_id=NIL, name=person.name, roles=person.roles,
            issued_at=0, expires_at=0,
        )  # fmt: skip
        return await self._roles.permissions(principal)


class Owner:
    """A person with their permissions, and what they see of each pipeline."""

    def __init__(self, person: Person, permissions: Permissions) -> None:
        self.id = person.id
        self.name = person.name
        self.permissions = permissions
        self._sights: dict[tuple[UUID, int], Sight] = {}

    def sight(self, definition: Definition) -> Sight:
        """What of a pipeline's records the person may see."""
        key = (definition.id, id(definition))
        found = self._sights.get(key)
        if found is None:
            grants = self.permissions.alternatives(READ, RECORDS, definition.id)
            found = self._sights[key] = compile_sight(grants, definition, str(self.id))
        return found

    def where(self, tree: object, definition: Definition) -> Condition | None:
        """A filter of the person's; raises Invalid where it does not fit (any more)."""
        return condition(tree, definition, self.sight(definition), str(self.id)) if tree else None

    def judge(self, change: Change, definition: Definition, where: Condition | None = None) -> Verdict | None:
        """What the person is told of a change; nothing, where only records could judge it."""
        sight = self.sight(definition)
        return None if sight.asks else judge(change, sight, where)
