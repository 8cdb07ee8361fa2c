"""What people do by links that were mailed to them: join, choose another password, confirm an address."""

from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Invalid, NotFound
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import attempts, events, grants, mails, people
from services.auth.domain import roles as role_rules
from services.auth.domain.audit import of_user
from services.auth.domain.mails import MailedToken, Purpose
from services.auth.domain.people import User
from services.auth.domain.sessions import Client
from services.auth.storage import mails as store
from services.auth.storage import organizations, roles, sessions, users
from services.auth.usecases import notices, sign_in
from services.auth.usecases.context import Context
from services.auth.usecases.credentials import least_password


async def send(context: Context, connection: Connection, tenant_id: UUID, user: User, purpose: Purpose) -> None:
    """Mails a secret to a user when the transaction is committed; those sent before are worth nothing."""
    organization = await organizations.get(connection, tenant_id)
    assert organization is not None
    token, digest = mails.make_token(tenant_id)
    now = clock.now()
    kept = MailedToken(purpose, user.id, user.email, now, now + mails.LIVES[purpose])
    await store.insert_token(connection, tenant_id, digest, kept)
    origin = context.public_url.replace("{tenant}", organization.slug)
    await context.post.enqueue(connection, tenant_id, mails.compose(purpose, organization, user, token, origin))


async def invite_again(context: Context, principal: Principal, permissions: Permissions, user_id: UUID) -> None:
    """Mails another invitation to one who has not joined."""
    permissions.require("create", "users")
    tenant_id = principal.tenant_id
    async with context.database.tenant(tenant_id) as connection:
        user = await users.lock(connection, tenant_id, user_id)
        if user is None or user.status != "invited":
            raise NotFound
        catalogue = await roles.catalogue(connection, tenant_id)
        grants.require_covered(permissions, role_rules.flatten_all(catalogue, user.roles))
        await _send_again(context, connection, tenant_id, user, "invitation")
    context.post.wake()


async def verify_again(context: Context, principal: Principal) -> None:
    """Mails another link to confirm the principal's address."""
    async with context.database.tenant(principal.tenant_id) as connection:
        user = await users.lock(connection, principal.tenant_id, principal.id)
        if user is None:
            raise NotFound
        if user.email_verified_at is not None:
            raise Conflict("The address is confirmed already", code="email-verified")
        await _send_again(context, connection, principal.tenant_id, user, "email_verification")
    context.post.wake()


async def accept(
    context: Context, token: str, password: str, name: str | None, client: Client
) -> tuple[UUID, sign_in.SignedIn | sign_in.Challenge]:
    """One who was invited joins with a password, and signs in; also returns the tenant."""
    tenant_id, digest = mails.read_token(token)
    async with context.database.tenant(tenant_id) as connection:
        user = await _take(connection, tenant_id, digest, "invitation")
        if user.status != "invited":
            raise mails.bad_token()
        joined = msgspec.structs.replace(
            user, name=user.name if name is None else name.strip(), status="active", updated_at=clock.now(),
            email_verified_at=clock.now(),
        )  # fmt: skip
        least = await least_password(connection, tenant_id)
        about = (user.email, joined.name)
        faults = [*people.check_name(joined.name), *people.check_password(password, about, least=least)]
        if faults:
            raise Invalid(errors=faults)
        await users.update(connection, tenant_id, joined)
        await users.put_password_hash(connection, tenant_id, user.id, await context.hasher.hash(password))
        await outbox.record(connection, tenant_id, [events.user("updated", joined)])
        by = of_user(joined)
        await context.audit.note(connection, tenant_id, "user.joined", by, by, address=client.address)
    return tenant_id, await sign_in.enter(context, tenant_id, user.id, client)


async def forgot(context: Context, tenant_id: UUID, email: str) -> None:
    """Mails a link to choose another password, if there is such an active user."""
    address = people.normalize_email(email)
    async with context.database.tenant(tenant_id) as connection:
        known = await users.credentials(connection, tenant_id, address)
        user = await users.lock(connection, tenant_id, known.id) if known else None
        if user is None or user.status != "active":
            return
        await _send_again(context, connection, tenant_id, user, "password_reset")
    context.post.wake()


async def reset(context: Context, token: str, password: str) -> None:
    """Another password for who reads the mails of an address; ends all sessions of the user."""
    tenant_id, digest = mails.read_token(token)
    async with context.database.tenant(tenant_id) as connection:
        user = await _take(connection, tenant_id, digest, "password_reset")
        if user.status != "active":
            raise mails.bad_token()
        least = await least_password(connection, tenant_id)
        faults = people.check_password(password, (user.email, user.name), least=least)
        if faults:
            raise Invalid(errors=faults)
        await users.put_password_hash(connection, tenant_id, user.id, await context.hasher.hash(password))
        await _verified(connection, tenant_id, user)
        await sessions.revoke_all(connection, tenant_id, user.id)
        await outbox.record(connection, tenant_id, [events.tokens_revoked(user.id)])
        await notices.to_user(context, connection, tenant_id, user, "password_changed")
        await context.audit.note(connection, tenant_id, "password.reset", of_user(user), of_user(user))
    context.post.wake()
    await context.attempts.succeeded(attempts.of_account(tenant_id, user.email, None))


async def verify(context: Context, token: str) -> None:
    """Confirms an address, if it is still the user's."""
    tenant_id, digest = mails.read_token(token)
    async with context.database.tenant(tenant_id) as connection:
        user = await _take(connection, tenant_id, digest, "email_verification")
        await _verified(connection, tenant_id, user)
        details = {"email": user.email}
        await context.audit.note(connection, tenant_id, "email.verified", of_user(user), of_user(user), details=details)


async def _verified(connection: Connection, tenant_id: UUID, user: User) -> None:
    if user.email_verified_at is None:
        now = clock.now()
        confirmed = msgspec.structs.replace(user, email_verified_at=now, updated_at=now)
        await users.update(connection, tenant_id, confirmed)


async def _send_again(context: Context, connection: Connection, tenant_id: UUID, user: User, purpose: Purpose) -> None:
    newest = await store.newest_token(connection, tenant_id, user.id, purpose)
    if newest is None or newest + mails.PAUSE < clock.now():
        await send(context, connection, tenant_id, user, purpose)


async def _take(connection: Connection, tenant_id: UUID, digest: bytes, purpose: Purpose) -> User:
    kept = await store.take_token(connection, tenant_id, digest, purpose, clock.now())
    user = await users.lock(connection, tenant_id, kept.user_id) if kept else None
    if kept is None or user is None or user.email != kept.email:
        raise mails.bad_token()
    return user
