"""Second factors: enrolled, confirmed, proven, removed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import AppError, Conflict, Forbidden, NotFound
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import attempts, events, grants
from services.auth.domain import roles as role_rules
from services.auth.domain import second_factors as rules
from services.auth.domain.audit import of_principal, of_user
from services.auth.domain.organizations import require_active
from services.auth.domain.people import User
from services.auth.domain.second_factors import Enrolment
from services.auth.storage import organizations, roles, second_factors, sessions, users
from services.auth.usecases import credentials, notices
from services.auth.usecases.context import Context


class State(msgspec.Struct, frozen=True):
    """Whether a user has a second factor since when, how many recovery codes are left, and whether it must be had."""

    confirmed_at: datetime | None
    recovery_codes_left: int
    required: bool


async def state(context: Context, principal: Principal) -> State:
    """The principal's second factor."""
    async with context.database.tenant(principal.tenant_id) as connection:
        kept = await second_factors.get(connection, principal.tenant_id, principal.id)
        left = await second_factors.count_recovery_codes(connection, principal.tenant_id, principal.id)
        must = await required(connection, principal.tenant_id)
    return State(kept.confirmed_at if kept else None, left, must)


async def enrol(context: Context, principal: Principal) -> Enrolment:
    """A secret for the principal, which counts when it is confirmed."""
    if principal.kind != "user":
        raise Forbidden("Only people have second factors", code="people-only")
    async with context.database.tenant(principal.tenant_id) as connection:
        user = await users.get(connection, principal.tenant_id, principal.id)
        if user is None:
            raise NotFound
        return await begin_enrolment(context, connection, principal.tenant_id, user)


async def begin_enrolment(context: Context, connection: Connection, tenant_id: UUID, user: User) -> Enrolment:
    """A secret for a user, within a transaction; refused where one is confirmed already."""
    organization = await organizations.get(connection, tenant_id)
    assert organization is not None
    secret = rules.new_secret()
    sealed = context.factors.close(secret.encode(), user.id.bytes)
    if not await second_factors.put(connection, tenant_id, user.id, sealed, clock.now()):
        raise Conflict("There is a second factor already; remove it first", code="mfa-enabled")
    return rules.enrolment(secret, user.email, organization.name)


async def confirm(context: Context, principal: Principal, code: str) -> list[str]:
    """The first code makes the secret count; gives recovery codes and ends the principal's other sessions."""
    tenant_id, user_id = principal.tenant_id, principal.id
    async with guessing(context, tenant_id, user_id, rules.wrong_code_field()) as connection:
        kept = await second_factors.get(connection, tenant_id, user_id)
        if kept is None or kept.confirmed_at is not None:
            raise Conflict("There is no second factor to confirm", code="mfa-not-begun")
        await prove(context, connection, tenant_id, user_id, code)
        await sessions.mark_mfa(connection, tenant_id, principal.session_id)
        ended = await sessions.revoke_others(connection, tenant_id, user_id, principal.session_id)
        await outbox.record(connection, tenant_id, [events.session_revoked(user_id, it) for it in ended])
        codes = await renew_recovery_codes(context, connection, tenant_id, user_id)
        await notices.to_user(context, connection, tenant_id, user_id, "second_factor_added")
        await _note(context, connection, principal, "confirmed")
        return codes


async def recovery_codes(context: Context, principal: Principal, code: str) -> list[str]:
    """Other recovery codes, for a code that proves the factor; those from before are worth nothing."""
    tenant_id, user_id = principal.tenant_id, principal.id
    async with guessing(context, tenant_id, user_id, rules.wrong_code_field()) as connection:
        await _confirmed(connection, tenant_id, user_id)
        await prove(context, connection, tenant_id, user_id, code)
        codes = await renew_recovery_codes(context, connection, tenant_id, user_id)
        await _note(context, connection, principal, "recovery_codes_renewed")
        return codes


async def remove(context: Context, principal: Principal, code: str) -> None:
    """Removes the principal's second factor, for a code that proves it, unless the organization requires one."""
    tenant_id, user_id = principal.tenant_id, principal.id
    async with guessing(context, tenant_id, user_id, rules.wrong_code_field()) as connection:
        await _confirmed(connection, tenant_id, user_id)
        if await required(connection, tenant_id):
            raise Conflict("The organization requires a second factor", code="mfa-required")
        await prove(context, connection, tenant_id, user_id, code)
        await second_factors.remove(connection, tenant_id, user_id)
        await notices.to_user(context, connection, tenant_id, user_id, "second_factor_removed")
        await _note(context, connection, principal, "removed")


async def reset(context: Context, principal: Principal, permissions: Permissions, user_id: UUID) -> None:
    """Removes another's second factor and ends their sessions: for who lost device and codes."""
    permissions.require("update", "users")
    tenant_id = principal.tenant_id
    async with context.database.tenant(tenant_id) as connection:
        user = await users.lock(connection, tenant_id, user_id)
        if user is None:
            raise NotFound
        if user_id == principal.id:
            raise Forbidden("One's own second factor is removed by a code of it", code="own-second-factor")
        catalogue = await roles.catalogue(connection, tenant_id)
        grants.require_covered(permissions, role_rules.flatten_all(catalogue, user.roles))
        await second_factors.remove(connection, tenant_id, user_id)
        await sessions.revoke_all(connection, tenant_id, user_id)
        await outbox.record(connection, tenant_id, [events.tokens_revoked(user_id)])
        by = of_principal(principal)
        await notices.to_user(context, connection, tenant_id, user, "second_factor_removed")
        await context.audit.note(connection, tenant_id, "second_factor.reset", by, of_user(user))


@asynccontextmanager
async def guessing(context: Context, tenant_id: UUID, user_id: UUID, wrong: AppError) -> AsyncIterator[Connection]:
    """A transaction; wrong codes of a user that are given within are counted, and `wrong` is raised for them."""
    counters = attempts.of_codes(tenant_id, user_id)
    failed = await credentials.require_patience(context, counters)
    try:
        async with context.database.tenant(tenant_id) as connection:
            yield connection
    except rules.WrongCode:
        await context.attempts.failed(counters)
        raise wrong from None
    if failed:
        await context.attempts.succeeded(counters)


async def prove(context: Context, connection: Connection, tenant_id: UUID, user_id: UUID, code: str) -> None:
    """Uses up a time-based code, or a recovery code, within a transaction; raises `WrongCode`."""
    if not rules.is_totp(code):
        right = False
        await context.older.learn(connection)
        for digest in context.factors.digests(rules.compact(code).encode()):
            right = right or await second_factors.use_recovery_code(connection, tenant_id, user_id, digest)
    else:
        right = await _use_totp(context, connection, tenant_id, user_id, code)
    if not right:
        raise rules.WrongCode


async def _use_totp(context: Context, connection: Connection, tenant_id: UUID, user_id: UUID, code: str) -> bool:
    kept = await second_factors.get(connection, tenant_id, user_id)
    if kept is None:
        return False
    now = clock.now()
    step = rules.step_of(context.factors.open(kept.secret, user_id.bytes).decode(), code, now)
    return step is not None and await second_factors.use_step(connection, tenant_id, user_id, step, now)


async def renew_recovery_codes(context: Context, connection: Connection, tenant_id: UUID, user_id: UUID) -> list[str]:
    """Ten codes, told now and never again, within a transaction."""
    codes = list(rules.new_recovery_codes())
    digests = [context.factors.digest(rules.compact(code).encode()) for code in codes]
    await second_factors.replace_recovery_codes(connection, tenant_id, user_id, digests)
    return codes


async def required(connection: Connection, tenant_id: UUID) -> bool:
    """Whether the tenant requires a second factor; one that is not active lets nobody in."""
    return require_active(await organizations.get(connection, tenant_id), ending=True).security.mfa_required


async def _note(context: Context, connection: Connection, principal: Principal, verb: str) -> None:
    by = of_principal(principal)
    await context.audit.note(connection, principal.tenant_id, f"second_factor.{verb}", by, by)


async def _confirmed(connection: Connection, tenant_id: UUID, user_id: UUID) -> None:
    kept = await second_factors.get(connection, tenant_id, user_id)
    if kept is None or kept.confirmed_at is None:
        raise Conflict("There is no second factor", code="mfa-not-enabled")
