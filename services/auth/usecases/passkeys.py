"""Passkeys: registered, listed, removed, and signed in by."""

from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict, Forbidden, Invalid, NotFound, Unauthenticated
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.postgres import Connection
from services.auth.domain import passkeys as rules
from services.auth.domain import people
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.passkeys import Passkey, Place
from services.auth.domain.sessions import Client
from services.auth.storage import organizations, passkeys, users
from services.auth.usecases import notices, sign_in
from services.auth.usecases.context import Context
from services.auth.usecases.sessions import begin
from services.auth.usecases.sign_in import SignedIn


class Asked(msgspec.Struct, frozen=True):
    """Options for the browser, as JSON, and the token to answer with."""

    token: str
    options: msgspec.Raw


async def listed(context: Context, principal: Principal) -> list[Passkey]:
    """The principal's passkeys."""
    async with context.database.tenant(principal.tenant_id) as connection:
        return await passkeys.of_user(connection, principal.tenant_id, principal.id)


async def begin_registration(context: Context, principal: Principal, at: Place) -> Asked:
    """Options to make a passkey at that host."""
    if principal.kind != "user":
        raise Forbidden("Only people have passkeys", code="people-only")
    tenant_id = principal.tenant_id
    async with context.database.tenant(tenant_id) as connection:
        user = await users.get(connection, tenant_id, principal.id)
        organization = await organizations.get(connection, tenant_id)
        if user is None or organization is None:
            raise NotFound
        present = await passkeys.of_user(connection, tenant_id, user.id)
        if len(present) >= rules.MAX_PASSKEYS:
            raise Conflict(f"At most {rules.MAX_PASSKEYS} passkeys are kept", code="too-many-passkeys")
        challenge, options = rules.registration_options(at, organization.name, user, present)
        return await _ask(connection, tenant_id, user.id, challenge, options)


async def register(
    context: Context, principal: Principal, at: Place, token: str, credential: dict[str, Any], name: str
) -> Passkey:
    """Keeps a passkey that signed its challenge."""
    faults = people.check_name(name)
    if faults:
        raise Invalid(errors=faults)
    tenant_id, digest = rules.read_token(token)
    if tenant_id != principal.tenant_id:
        raise rules.refused()
    async with context.database.tenant(tenant_id) as connection:
        challenge = await passkeys.take_challenge(connection, tenant_id, digest, principal.id, clock.now())
        if challenge is None:
            raise rules.refused()
        made = rules.check_registration(at, challenge, credential)
        passkey = Passkey(
            new_id(), principal.id, name.strip(), at.rp_id, made.credential_id, made.public_key, made.sign_count,
            made.synced, clock.now(), None,
        )  # fmt: skip
        await passkeys.insert(connection, tenant_id, passkey)
        await notices.to_user(context, connection, tenant_id, principal.id, "passkey_added", more=passkey.name)
        await _note(context, connection, principal, "registered", passkey.id, passkey.name)
    return passkey


async def rename(context: Context, principal: Principal, passkey_id: UUID, name: str) -> Passkey:
    """Another name of the principal's passkey."""
    faults = people.check_name(name)
    if faults:
        raise Invalid(errors=faults)
    async with context.database.tenant(principal.tenant_id) as connection:
        await passkeys.rename(connection, principal.tenant_id, principal.id, passkey_id, name.strip())
        found = await passkeys.of_user(connection, principal.tenant_id, principal.id)
    passkey = next((it for it in found if it.id == passkey_id), None)
    if passkey is None:
        raise NotFound
    return passkey


async def delete(context: Context, principal: Principal, passkey_id: UUID) -> None:
    """Removes the principal's passkey."""
    async with context.database.tenant(principal.tenant_id) as connection:
        name = await passkeys.delete(connection, principal.tenant_id, principal.id, passkey_id)
        if name is None:
            raise NotFound
        await notices.to_user(context, connection, principal.tenant_id, principal.id, "passkey_removed", more=name)
        await _note(context, connection, principal, "removed", passkey_id, name)


async def begin_sign_in(context: Context, tenant_id: UUID, at: Place) -> Asked:
    """Options to sign in by whatever passkey the person has at that host."""
    challenge, options = rules.sign_in_options(at)
    async with context.database.tenant(tenant_id) as connection:
        if await organizations.get(connection, tenant_id) is None:
            raise NotFound("There is no such organization", code="tenant-not-found")
        return await _ask(connection, tenant_id, None, challenge, options)


async def finish_sign_in(
    context: Context, at: Place, token: str, credential: dict[str, Any], client: Client
) -> tuple[UUID, SignedIn]:
    """Signs in by a passkey, which is two factors; also returns the tenant."""
    tenant_id, digest = rules.read_token(token)
    try:
        return tenant_id, await _sign_in(context, tenant_id, at, digest, credential, client)
    except Unauthenticated:
        await sign_in.note_failure(context, tenant_id, None, client, "passkey")
        raise


async def _sign_in(
    context: Context, tenant_id: UUID, at: Place, digest: bytes, credential: dict[str, Any], client: Client
) -> SignedIn:
    credential_id = rules.credential_id_of(credential)
    signer = await context.keys.signer()
    async with context.database.tenant(tenant_id) as connection:
        now = clock.now()
        challenge = await passkeys.take_challenge(connection, tenant_id, digest, None, now)
        passkey = await passkeys.by_credential(connection, tenant_id, credential_id)
        user = await users.hold(connection, tenant_id, passkey.user_id) if passkey else None
        if challenge is None or passkey is None or user is None or user.status != "active":
            raise rules.refused()
        count = rules.check_sign_in(at, challenge, credential, passkey)
        await passkeys.use(connection, tenant_id, passkey.id, count, now)
        return SignedIn(user, await begin(context, connection, tenant_id, signer, user, client, mfa=True))


async def _ask(
    connection: Connection, tenant_id: UUID, user_id: UUID | None, challenge: bytes, options: bytes
) -> Asked:
    token, digest = rules.make_token(tenant_id)
    now = clock.now()
    await passkeys.insert_challenge(connection, tenant_id, digest, user_id, challenge, now, now + rules.LIFE)
    return Asked(token, msgspec.Raw(options))


async def _note(
    context: Context, connection: Connection, principal: Principal, verb: str, passkey_id: UUID, name: str
) -> None:
    by, target = of_principal(principal), Party("passkey", passkey_id, name)
    await context.audit.note(connection, principal.tenant_id, f"passkey.{verb}", by, target)
