"""Beginning, continuing and ending sessions."""

from uuid import UUID

from libs.common import clock, outbox
from libs.common.errors import NotFound
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import events
from services.auth.domain import roles as role_rules
from services.auth.domain.audit import Party, of_principal, of_user
from services.auth.domain.keys import Signer
from services.auth.domain.organizations import Organization, require_active
from services.auth.domain.people import User
from services.auth.domain.sessions import (
    MAX_SESSIONS_OF_USER,
    Client,
    Session,
    bad_token,
    judge,
    read_refresh_token,
)
from services.auth.storage import organizations, roles, sessions, users
from services.auth.usecases import notices
from services.auth.usecases.context import Context
from services.auth.usecases.tokens import Tokens, first, issue


async def begin(
    context: Context, connection: Connection, tenant_id: UUID, signer: Signer, user: User, client: Client,
    *, mfa: bool = False, organization: Organization | None = None,
) -> Tokens:  # fmt: skip
    """A new session of a user, within a transaction; the oldest beyond a hundred end."""
    now = clock.now()
    known = organization or await organizations.get(connection, tenant_id)
    organization = await _admitting(connection, tenant_id, user, known)
    ends = organization.security.session_end(now, context.lifetimes.session)
    session = Session(new_id(), user.id, client.user_agent, client.address, now, now, ends, mfa)
    tokens, digest, until = first(tenant_id, signer, context.lifetimes, user, session, now)
    before = await sessions.insert(connection, tenant_id, session, digest, until)
    if not before.familiar(client):
        await notices.to_user(context, connection, tenant_id, user, "new_sign_in", client)
    if before.crowded:
        ended = await sessions.revoke_oldest(connection, tenant_id, user.id, MAX_SESSIONS_OF_USER)
        await outbox.record(connection, tenant_id, [events.session_revoked(user.id, it) for it in ended])
    await context.audit.note(
        connection, tenant_id, "session.started", of_user(user), Party("session", session.id),
        address=client.address, details={"mfa": mfa, "user_agent": client.user_agent},
    )  # fmt: skip
    return tokens


async def refresh(context: Context, token: str, client: Client) -> tuple[User, Tokens]:
    """The next tokens of a session. A token that was used too long ago was stolen, by one side or the other."""
    tenant_id, digest = read_refresh_token(token)
    signer = await context.keys.signer()
    async with context.database.tenant(tenant_id) as connection:
        outcome = await _rotate(context, connection, tenant_id, digest, signer, client)
    if outcome is None:
        raise bad_token()
    return outcome


async def _rotate(
    context: Context, connection: Connection, tenant_id: UUID, digest: bytes, signer: Signer, client: Client
) -> tuple[User, Tokens] | None:
    found = await sessions.take_token(connection, tenant_id, digest)
    now = clock.now()
    verdict = judge(found.used_at, found.expires_at, now) if found else "expired"
    if found is None or verdict == "expired":
        return None
    if verdict == "reused":
        if await _end(connection, tenant_id, found.user_id, found.session_id):
            await context.audit.note(
                connection, tenant_id, "session.token_reused", None, Party("session", found.session_id),
                address=client.address, details={"user_id": str(found.user_id)},
            )  # fmt: skip
        return None
    user = await users.hold(connection, tenant_id, found.user_id)
    session = await sessions.use(connection, tenant_id, found.session_id, now, client)
    if user is None or session is None or user.status != "active":
        return None
    organization = await organizations.get(connection, tenant_id)
    security = (await _admitting(connection, tenant_id, user, organization)).security
    over = security.session_end(session.created_at, context.lifetimes.session) <= now
    if over or (security.mfa_required and not session.mfa):
        await _end(connection, tenant_id, found.user_id, found.session_id)
        return None
    await sessions.mark_used(connection, tenant_id, digest, session.id, now)
    return user, await issue(connection, tenant_id, signer, context.lifetimes, user, session, now)


async def _admitting(
    connection: Connection, tenant_id: UUID, user: User, organization: Organization | None
) -> Organization:
    """The organization where it lets the user in; one that is being deleted those who may save it."""
    if organization is None or organization.status != "deleting":
        return require_active(organization)
    catalogue = await roles.catalogue(connection, tenant_id)
    may = Permissions(role_rules.flatten_all(catalogue, user.roles)).allow("delete", "organization")
    return require_active(organization, ending=may)


async def leave_as(context: Context, principal: Principal) -> None:
    """Ends the session of an access token, if it has not ended."""
    async with context.database.tenant(principal.tenant_id) as connection:
        if await _end(connection, principal.tenant_id, principal.id, principal.session_id):
            await _note_end(context, connection, principal, principal.session_id)


async def leave(context: Context, token: str) -> None:
    """Ends the session of a refresh token, whether or not the token is the newest."""
    tenant_id, digest = read_refresh_token(token)
    async with context.database.tenant(tenant_id) as connection:
        found = await sessions.take_token(connection, tenant_id, digest)
        if found is None:
            raise bad_token()
        if await _end(connection, tenant_id, found.user_id, found.session_id):
            by, target = Party("user", found.user_id), Party("session", found.session_id)
            await context.audit.note(connection, tenant_id, "session.ended", by, target)


async def listed(context: Context, principal: Principal, after: UUID, limit: int) -> list[Session]:
    """The principal's sessions that go on."""
    async with context.database.tenant(principal.tenant_id) as connection:
        return await sessions.page(connection, principal.tenant_id, principal.id, after, limit)


async def count(context: Context, principal: Principal) -> int:
    """How many sessions of the principal go on."""
    async with context.database.tenant(principal.tenant_id) as connection:
        return await sessions.count(connection, principal.tenant_id, principal.id)


async def end(context: Context, principal: Principal, session_id: UUID) -> None:
    """Ends one of the principal's sessions."""
    async with context.database.tenant(principal.tenant_id) as connection:
        if not await _end(connection, principal.tenant_id, principal.id, session_id):
            raise NotFound
        await _note_end(context, connection, principal, session_id)


async def end_all(context: Context, principal: Principal) -> None:
    """Ends all of the principal's sessions, this one too."""
    async with context.database.tenant(principal.tenant_id) as connection:
        await users.lock(connection, principal.tenant_id, principal.id)
        await sessions.revoke_all(connection, principal.tenant_id, principal.id)
        await outbox.record(connection, principal.tenant_id, [events.tokens_revoked(principal.id)])
        by = of_principal(principal)
        await context.audit.note(connection, principal.tenant_id, "session.all_ended", by, by)


async def _note_end(context: Context, connection: Connection, principal: Principal, session_id: UUID) -> None:
    by, target = of_principal(principal), Party("session", session_id)
    await context.audit.note(connection, principal.tenant_id, "session.ended", by, target)


async def _end(connection: Connection, tenant_id: UUID, user_id: UUID, session_id: UUID) -> bool:
    ended = await sessions.revoke(connection, tenant_id, user_id, session_id)
    if ended:
        await outbox.record(connection, tenant_id, [events.session_revoked(user_id, session_id)])
    return ended
