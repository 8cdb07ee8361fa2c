"""API keys and devices: made, told of, ended, and exchanged for access tokens."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Forbidden, Invalid, NotFound
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import api_keys as rules
from services.auth.domain import events, grants, people
from services.auth.domain import roles as role_rules
from services.auth.domain.api_keys import ApiKey, Kind
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.organizations import require_active
from services.auth.domain.roles import Catalogue
from services.auth.storage import api_keys, organizations, roles
from services.auth.usecases.context import Context
from services.auth.usecases.tokens import Subject, access_token


class NewKey(msgspec.Struct, frozen=True):
    """A key to be; roles by id or slug."""

    name: str
    roles: Sequence[str]
    expires_at: datetime | None = None


class Keys(msgspec.Struct, frozen=True):
    """Keys with all roles of their tenant, to name those that they have; the secret only of one just made."""

    keys: list[ApiKey]
    catalogue: Catalogue
    secret: str = ""


async def create(context: Context, principal: Principal, permissions: Permissions, kind: Kind, given: NewKey) -> Keys:
    """A new key, with roles that give nothing beyond what its maker may do."""
    _require_person(principal)
    if kind == "device":
        permissions.require("create", "users")
    now = clock.now()
    ends = given.expires_at and clock.utc(given.expires_at)
    faults = [*people.check_name(given.name), *rules.check_expiry(ends, now)]
    if faults:
        raise Invalid(errors=faults)
    secret, digest = rules.make_secret(principal.tenant_id)
    async with context.database.tenant(principal.tenant_id) as connection:
        await organizations.lock(connection, principal.tenant_id)
        await _bound(connection, principal, kind)
        catalogue = await roles.catalogue(connection, principal.tenant_id)
        chosen = role_rules.choose(catalogue, given.roles)
        grants.require_covered(permissions, role_rules.flatten_all(catalogue, chosen))
        key = ApiKey(
            new_id(), kind, given.name.strip(), rules.shown(secret), chosen, principal.id, now, ends, None, None,
        )  # fmt: skip
        await api_keys.insert(connection, principal.tenant_id, key, digest)
        details = {"roles": [catalogue[it].slug for it in chosen], "prefix": key.prefix}
        by, target = of_principal(principal), Party(kind, key.id, key.name)
        await context.audit.note(connection, principal.tenant_id, f"{kind}.created", by, target, details=details)
    return Keys([key], catalogue, secret)


async def page(
    context: Context, principal: Principal, permissions: Permissions, kind: Kind, after: UUID, limit: int
) -> Keys:
    """One's own API keys, or all where one manages people; all devices."""
    maker = _maker(principal, permissions, kind)
    async with context.database.tenant(principal.tenant_id) as connection:
        found = await api_keys.page(connection, principal.tenant_id, kind, maker, after, limit)
        return Keys(found, await roles.catalogue(connection, principal.tenant_id))


async def count(context: Context, principal: Principal, permissions: Permissions, kind: Kind) -> int:
    """How many keys the principal sees."""
    maker = _maker(principal, permissions, kind)
    async with context.database.tenant(principal.tenant_id) as connection:
        return await api_keys.count(connection, principal.tenant_id, kind, maker)


async def get(context: Context, principal: Principal, permissions: Permissions, kind: Kind, key_id: UUID) -> Keys:
    """One key that the principal may see."""
    async with context.database.tenant(principal.tenant_id) as connection:
        key = await _visible(connection, principal, permissions, kind, key_id)
        return Keys([key], await roles.catalogue(connection, principal.tenant_id))


async def rename(
    context: Context, principal: Principal, permissions: Permissions, kind: Kind, key_id: UUID, name: str
) -> Keys:
    """Another name of a key."""
    faults = people.check_name(name)
    if faults:
        raise Invalid(errors=faults)
    async with context.database.tenant(principal.tenant_id) as connection:
        catalogue, before = await _changeable(connection, principal, permissions, kind, key_id)
        after = msgspec.structs.replace(before, name=name.strip())
        await api_keys.rename(connection, principal.tenant_id, after)
    return Keys([after], catalogue)


async def delete(context: Context, principal: Principal, permissions: Permissions, kind: Kind, key_id: UUID) -> None:
    """Ends a key and its tokens."""
    async with context.database.tenant(principal.tenant_id) as connection:
        _, key = await _changeable(connection, principal, permissions, kind, key_id)
        await _end(context, connection, principal.tenant_id, of_principal(principal), [key])


async def _end(context: Context, connection: Connection, tenant_id: UUID, by: Party, keys: Sequence[ApiKey]) -> None:
    for key in keys:
        await api_keys.delete(connection, tenant_id, key.id)
        target = Party(key.kind, key.id, key.name)
        await context.audit.note(connection, tenant_id, f"{key.kind}.ended", by, target)
    await outbox.record(connection, tenant_id, [events.session_revoked(key.id, key.id) for key in keys])


async def end_beyond(
    context: Context, connection: Connection, tenant_id: UUID, by: Party, user_id: UUID, holds: Permissions | None
) -> None:
    """Ends those of a user's API keys that may do more than the user from now on; all where the user is gone."""
    keys = await api_keys.of_maker(connection, tenant_id, user_id)
    catalogue = await roles.catalogue(connection, tenant_id) if keys else {}

    def beyond(key: ApiKey) -> bool:
        given = role_rules.flatten_all(catalogue, key.roles)
        return holds is None or not all(grants.covered(holds, grant) for grant in given)

    await _end(context, connection, tenant_id, by, [key for key in keys if beyond(key)])


async def end_beyond_roles(
    context: Context, connection: Connection, tenant_id: UUID, by: Party, catalogue: Catalogue, role_ids: Sequence[UUID]
) -> None:
    """The same for all who have one of the roles, which give less from now on."""
    held: dict[tuple[UUID, ...], Permissions] = {}

    def beyond(key: ApiKey, of_maker: tuple[UUID, ...]) -> bool:
        if of_maker not in held:
            held[of_maker] = Permissions(role_rules.flatten_all(catalogue, of_maker))
        return not all(grants.covered(held[of_maker], it) for it in role_rules.flatten_all(catalogue, key.roles))

    found = await api_keys.of_holders(connection, tenant_id, role_ids)
    await _end(context, connection, tenant_id, by, [key for key, of_maker in found if beyond(key, of_maker)])


async def exchange(context: Context, secret: str, address: str | None) -> tuple[str, int]:
    """An access token of some minutes for a key, and its life in seconds."""
    tenant_id, digest = rules.read_secret(secret)
    signer = await context.keys.signer()
    async with context.database.tenant(tenant_id) as connection:
        now = clock.now()
        key = await api_keys.use(connection, tenant_id, digest, now, address)
        if key is None:
            raise rules.bad_key()
        require_active(await organizations.get(connection, tenant_id))
        subject = Subject(key.id, key.id, key.kind, key.name, key.roles)
        return access_token(signer, tenant_id, subject, rules.token_life(key, now))


async def _bound(connection: Connection, principal: Principal, kind: Kind) -> None:
    maker, most = (None, rules.MAX_DEVICES) if kind == "device" else (principal.id, rules.MAX_KEYS_OF_USER)
    if await api_keys.count(connection, principal.tenant_id, kind, maker) >= most:
        raise Conflict(f"At most {most} of them are kept; end one that is not used", code="too-many-keys")


async def _visible(
    connection: Connection, principal: Principal, permissions: Permissions, kind: Kind, key_id: UUID
) -> ApiKey:
    maker = _maker(principal, permissions, kind)
    key = await api_keys.get(connection, principal.tenant_id, kind, key_id)
    if key is None or (maker is not None and key.created_by != maker):
        raise NotFound
    return key


async def _changeable(
    connection: Connection, principal: Principal, permissions: Permissions, kind: Kind, key_id: UUID
) -> tuple[Catalogue, ApiKey]:
    _require_person(principal)
    if kind == "device":
        permissions.require("update", "users")
    key = await _visible(connection, principal, permissions, kind, key_id)
    catalogue = await roles.catalogue(connection, principal.tenant_id)
    if kind == "device" or key.created_by != principal.id:
        grants.require_covered(permissions, role_rules.flatten_all(catalogue, key.roles))
    return catalogue, key


def _maker(principal: Principal, permissions: Permissions, kind: Kind) -> UUID | None:
    """Whose keys the principal sees: None for all."""
    if kind == "device":
        permissions.require("read", "users")
        return None
    return None if permissions.allow("manage", "users") else principal.id


def _require_person(principal: Principal) -> None:
    if principal.kind != "user":
        raise Forbidden("Only people make, change and end keys", code="people-only")
