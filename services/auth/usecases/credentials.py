"""Proving who one is by a password, and changing it."""

from collections.abc import Sequence
from uuid import UUID

from libs.common import outbox
from libs.common.errors import AppError, Conflict, Fault, Forbidden, Invalid, NotFound, RateLimited
from libs.common.identity import Principal
from libs.common.postgres import Connection
from services.auth.domain import attempts, events, people
from services.auth.domain.attempts import Counter
from services.auth.domain.audit import of_principal
from services.auth.domain.organizations import require_active
from services.auth.domain.sessions import Client
from services.auth.storage import organizations, sessions, users
from services.auth.storage.users import Credentials
from services.auth.usecases import notices
from services.auth.usecases.context import Context


async def prove(
    context: Context, counters: Sequence[Counter], known: Credentials | None, password: str, *, wrong: AppError
) -> None:
    """Raises `wrong` unless the password is that of an active user; too many wrong ones in a row have to wait."""
    failed = await require_patience(context, counters)
    right = await context.hasher.verify(known.password_hash if known else None, password)
    if known is None or not right or known.status != "active":
        await context.attempts.failed(counters)
        raise wrong
    if failed:
        await context.attempts.succeeded(counters)


async def require_patience(context: Context, counters: Sequence[Counter]) -> bool:
    """Refuses an attempt that comes too soon after those that failed; returns whether there are any."""
    found = await context.attempts.standing(counters)
    if found.wait > 0:
        detail = "Too many attempts failed; wait before the next"
        raise RateLimited(detail, code="too-many-attempts", retry_after=found.wait)
    return found.failed


async def change_password(context: Context, principal: Principal, current: str, new: str, client: Client) -> None:
    """Changes the principal's own password, and ends their other sessions."""
    if principal.kind != "user":
        raise Forbidden("Only people have passwords", code="people-only")
    tenant_id = principal.tenant_id
    async with context.database.tenant(tenant_id) as connection:
        user = await users.get(connection, tenant_id, principal.id)
        known = await users.credentials(connection, tenant_id, user.email) if user else None
        least = await least_password(connection, tenant_id)
    if user is None or known is None:
        raise NotFound
    counters = attempts.of_account(tenant_id, user.email, client.address)
    await prove(context, counters, known, current, wrong=_not_current())
    faults = people.check_password(new, (user.email, user.name), "/new_password", least)
    if faults:
        raise Invalid(errors=faults)
    digest = await context.hasher.hash(new)
    async with context.database.tenant(tenant_id) as connection:
        await users.lock(connection, tenant_id, user.id)
        if not await users.set_password_hash(connection, tenant_id, user.id, known.password_hash or "", digest):
            raise Conflict("The password was changed meanwhile", code="busy", retry_after=1)
        ended = await sessions.revoke_others(connection, tenant_id, user.id, principal.session_id)
        await outbox.record(connection, tenant_id, [events.session_revoked(user.id, it) for it in ended])
        by = of_principal(principal)
        await notices.to_user(context, connection, tenant_id, user, "password_changed", client)
        await context.audit.note(connection, tenant_id, "password.changed", by, by, address=client.address)
    context.post.wake()


async def least_password(connection: Connection, tenant_id: UUID) -> int | None:
    """How many characters a tenant asks of passwords; None for what all are asked."""
    return require_active(await organizations.get(connection, tenant_id)).security.password_min_length


def _not_current() -> Invalid:
    return Invalid(errors=[Fault("/current_password", "wrong", "This is not the current password")])
