"""Each service's copy of its tenants' roles: memory, then its own table, then a question to auth."""

import time
from collections.abc import Callable
from uuid import UUID

import msgspec

from libs.common import events
from libs.common.bus import Bus, Consumer
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import Principal, PrincipalKind
from libs.common.permissions import Grant, Permissions, RoleGrants
from libs.common.postgres import Connection, Database

CACHED_ROLES = 20_000
REMEMBERED_SECONDS = 60.0
HINTS = "hint.auth.role"
"""Where auth tells of a changed role before it answers whoever changed it; the same comes by the stream."""

_READ = "select role_id, slug, name, version, grants from role_grants where tenant_id = $1 and role_id = $2"
_WRITE = """
insert into role_grants (tenant_id, role_id, version, slug, name, grants) values ($1, $2, $3, $4, $5, $6)
on conflict (tenant_id, role_id) do update
set version = excluded.version, slug = excluded.slug, name = excluded.name, grants = excluded.grants
where role_grants.version < excluded.version
"""

_grants = msgspec.json.Encoder(order="deterministic")


class _Question(msgspec.Struct):
    tenant_id: UUID
    role_id: UUID


class _Who(msgspec.Struct):
    tenant_id: UUID
    id: UUID
    kind: PrincipalKind


class _Standing(msgspec.Struct):
    roles: tuple[UUID, ...]


class RoleStore:
    """Answers the permissions of a principal. A change of a role reaches every process's memory by its event.

    Should an event not reach it, memory is read anew from the table after a reconnect, and every minute.
    """

    def __init__(self, service: str, database: Database, bus: Bus) -> None:
        self._service = service
        self._database = database
        self._bus = bus
        self._memory: dict[tuple[UUID, UUID], RoleGrants] = {}
        self._compiled: dict[tuple[UUID, tuple[UUID, ...]], Permissions] = {}
        self._watchers: list[Callable[[UUID, UUID], None]] = []
        self._since = time.monotonic()

    def watch(self, callback: Callable[[UUID, UUID], None]) -> None:
        """Calls back with tenant and role whenever a role is not what it was."""
        self._watchers.append(callback)

    def start(self) -> None:
        """Begins to follow changes, durably into the table and at once into memory."""
        subject = "evt.*.auth.role.*"
        self._bus.consume(Consumer(f"{self._service}-roles", subject, RoleGrants, self._store), self._database)
        self._bus.listen(subject, self._hear)
        self._bus.listen(HINTS, self._hear)
        self._bus.on_reconnect(self._doubt)

    def _doubt(self) -> None:
        # While the connection was away, changes were not heard.
        remembered = list(self._memory)
        self._forget()
        for tenant_id, role_id in remembered:
            for callback in self._watchers:
                callback(tenant_id, role_id)

    def _forget(self) -> None:
        self._memory.clear()
        self._compiled.clear()
        self._since = time.monotonic()

    def cached(self, principal: Principal) -> Permissions | None:
        """The permissions of a principal whose roles are in memory already."""
        if time.monotonic() - self._since > REMEMBERED_SECONDS:
            self._forget()
        return self._compiled.get((principal.tenant_id, principal.roles))

    async def present(self, principal: Principal) -> Principal:
        """A principal of former times with the roles that they have now; `NotFound` where they may not come in any
        more. Where auth is away they are as they were.
        """
        question = _Who(principal.tenant_id, principal.id, principal.kind)
        try:
            standing = await self._bus.request("rpc.auth.standing", question, _Standing)
        except Unavailable:
            return principal
        return msgspec.structs.replace(principal, roles=standing.roles)

    async def permissions(self, principal: Principal) -> Permissions:
        """The union of the grants of a principal's roles."""
        known = self.cached(principal)
        if known is not None:
            return known
        loaded = {role_id: await self._role(principal.tenant_id, role_id) for role_id in principal.roles}
        if (known := self.cached(principal)) is not None:
            return known  # of many who ask at once all get the same, by which others know them to be alike
        # What was heard while others were loading is newer than what was loaded.
        roles = [self._memory.get((principal.tenant_id, role_id), role) for role_id, role in loaded.items()]
        compiled = Permissions(grant for role in roles if role and not role.deleted for grant in role.grants)
        if len(self._compiled) >= CACHED_ROLES:
            self._compiled.clear()
        self._compiled[principal.tenant_id, principal.roles] = compiled
        return compiled

    async def _role(self, tenant_id: UUID, role_id: UUID) -> RoleGrants | None:
        known = self._memory.get((tenant_id, role_id))
        if known is None:
            known = await self._load(tenant_id, role_id) or await self._ask(tenant_id, role_id)
            if known is not None:
                self._remember(tenant_id, known)
        return known

    async def _load(self, tenant_id: UUID, role_id: UUID) -> RoleGrants | None:
        async with self._database.tenant(tenant_id) as connection:
            row = await connection.fetchrow(_READ, tenant_id, role_id)
        if row is None:
            return None
        grants = msgspec.json.decode(row["grants"], type=tuple[Grant, ...])
        return RoleGrants(row["role_id"], row["slug"], row["name"], row["version"], grants)

    async def _ask(self, tenant_id: UUID, role_id: UUID) -> RoleGrants | None:
        try:
            return await self._bus.request("rpc.auth.role", _Question(tenant_id, role_id), RoleGrants)
        except NotFound:
            return None

    def _remember(self, tenant_id: UUID, role: RoleGrants) -> None:
        present = self._memory.get((tenant_id, role.id))
        if present is None or present.version < role.version:
            if len(self._memory) >= CACHED_ROLES:
                self._memory.clear()
            self._memory[tenant_id, role.id] = role
            self._compiled = {key: value for key, value in self._compiled.items() if role.id not in key[1]}
            for callback in self._watchers:
                callback(tenant_id, role.id)

    async def _hear(self, payload: bytes) -> None:
        event = events.decode(payload, RoleGrants)
        self._remember(event.tenant_id, event.data)

    async def _store(self, connection: Connection, event: events.Event[RoleGrants]) -> None:
        role = event.data
        grants = () if role.deleted else role.grants
        text = _grants.encode(grants).decode()
        await connection.execute(_WRITE, event.tenant_id, role.id, role.version, role.slug, role.name, text)
        self._remember(event.tenant_id, role)
