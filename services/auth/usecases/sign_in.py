"""Signing in: a password, and a second factor where there is one or the organization requires one."""

from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict, Unauthenticated
from libs.common.postgres import Connection
from services.auth.domain import attempts, people
from services.auth.domain import second_factors as rules
from services.auth.domain.audit import Party
from services.auth.domain.keys import Signer
from services.auth.domain.organizations import require_active
from services.auth.domain.people import User
from services.auth.domain.roles import RoleName
from services.auth.domain.second_factors import Enrolment, Method
from services.auth.domain.sessions import Client
from services.auth.storage import organizations, second_factors, users
from services.auth.storage.users import Credentials
from services.auth.usecases import credentials
from services.auth.usecases import second_factors as factor_cases
from services.auth.usecases.context import Context
from services.auth.usecases.sessions import begin
from services.auth.usecases.tokens import Tokens


class SignedIn(msgspec.Struct, frozen=True):
    """Who is signed in; recovery codes where the sign-in enrolled a second factor, and names of roles if known."""

    user: User
    tokens: Tokens
    recovery_codes: list[str] = []
    roles: tuple[RoleName, ...] | None = None


class Challenge(msgspec.Struct, frozen=True):
    """The password was right; a second factor is asked for, or, where `enrol`, is to be made first."""

    mfa_token: str
    methods: tuple[Method, ...]
    enrol: bool


async def login(context: Context, tenant_id: UUID, email: str, password: str, client: Client) -> SignedIn | Challenge:
    """Signs a user in. Whatever is wrong, the answer is the same, after one verification of a password."""
    address = people.normalize_email(email)
    known = await users.find_credentials(context.database, tenant_id, address)
    counters = attempts.of_account(tenant_id, address, client.address)
    try:
        await credentials.prove(context, counters, known, password, wrong=_wrong())
    except Unauthenticated:
        await note_failure(context, tenant_id, known.id if known else None, client, "password")
        raise
    assert known is not None
    await _upgrade(context, tenant_id, known, password)
    return await enter(context, tenant_id, known.id, client)


async def enter(
    context: Context, tenant_id: UUID, user_id: UUID, client: Client, *, proven: bool = False
) -> SignedIn | Challenge:
    """Signs in who has proven a first factor, or asks for the second, unless that was `proven` elsewhere."""
    signer = await context.keys.signer()
    async with context.database.tenant(tenant_id) as connection:
        await users.keep(connection, tenant_id, user_id)
        found = await organizations.entering(connection, tenant_id, user_id)
        if found is None or found.user.status != "active":
            raise _wrong()
        organization = require_active(found.organization, ending=True)
        if (found.confirmed or organization.security.mfa_required) and not proven:
            return await _challenge(connection, tenant_id, user_id, enrol=not found.confirmed)
        tokens = await begin(
            context, connection, tenant_id, signer, found.user, client, mfa=proven, organization=organization
        )
        return SignedIn(found.user, tokens, roles=found.roles)


async def enrol(context: Context, mfa_token: str) -> Enrolment:
    """A secret for one who must have a second factor to sign in."""
    tenant_id, digest = rules.read_challenge(mfa_token)
    async with context.database.tenant(tenant_id) as connection:
        user = await users.hold(connection, tenant_id, await _challenged(connection, tenant_id, digest))
        assert user is not None
        return await factor_cases.begin_enrolment(context, connection, tenant_id, user)


async def verify(context: Context, mfa_token: str, code: str, client: Client) -> SignedIn:
    """Ends a sign-in with a code. The first code of a secret just enrolled confirms it and gives recovery codes."""
    tenant_id, digest = rules.read_challenge(mfa_token)
    async with context.database.tenant(tenant_id) as connection:
        user_id = await _challenged(connection, tenant_id, digest)
    signer = await context.keys.signer()
    try:
        return await _finish(context, tenant_id, user_id, digest, signer, code, client)
    except Unauthenticated:
        await note_failure(context, tenant_id, user_id, client, "code")
        raise


async def _finish(
    context: Context, tenant_id: UUID, user_id: UUID, digest: bytes, signer: Signer, code: str, client: Client
) -> SignedIn:
    async with factor_cases.guessing(context, tenant_id, user_id, rules.wrong_code()) as connection:
        user = await users.hold(connection, tenant_id, user_id)
        taken = await second_factors.take_challenge(connection, tenant_id, digest, clock.now())
        if user is None or user.status != "active" or taken is None:
            raise rules.bad_challenge()
        kept = await second_factors.get(connection, tenant_id, user_id)
        if kept is None:
            raise Conflict("Make a second factor first", code="mfa-not-begun")
        await factor_cases.prove(context, connection, tenant_id, user_id, code)
        codes = [] if kept.confirmed_at else await _codes(context, connection, tenant_id, user_id)
        return SignedIn(user, await begin(context, connection, tenant_id, signer, user, client, mfa=True), codes)


async def note_failure(context: Context, tenant_id: UUID, user_id: UUID | None, client: Client, factor: str) -> None:
    """Notes a refused sign-in. What was typed is not kept: it may be a password in the wrong field."""
    target = Party("user", user_id) if user_id else None
    async with context.database.tenant(tenant_id) as connection:
        await context.audit.note(
            connection, tenant_id, "session.refused", None, target, address=client.address, details={"factor": factor}
        )


async def _codes(context: Context, connection: Connection, tenant_id: UUID, user_id: UUID) -> list[str]:
    return await factor_cases.renew_recovery_codes(context, connection, tenant_id, user_id)


async def _challenge(connection: Connection, tenant_id: UUID, user_id: UUID, *, enrol: bool) -> Challenge:
    token, digest = rules.make_challenge(tenant_id)
    now = clock.now()
    await second_factors.insert_challenge(connection, tenant_id, user_id, digest, now, now + rules.CHALLENGE_LIFE)
    return Challenge(token, ("totp",) if enrol else ("totp", "recovery_code"), enrol)


async def _challenged(connection: Connection, tenant_id: UUID, digest: bytes) -> UUID:
    found = await second_factors.challenged(connection, tenant_id, digest, clock.now())
    if found is None:
        raise rules.bad_challenge()
    return found


async def _upgrade(context: Context, tenant_id: UUID, known: Credentials, password: str) -> None:
    old = known.password_hash
    if old is None or not context.hasher.outdated(old):
        return
    new = await context.hasher.hash(password)
    async with context.database.tenant(tenant_id) as connection:
        await users.set_password_hash(connection, tenant_id, known.id, old, new)


def _wrong() -> Unauthenticated:
    return Unauthenticated("The address or the password is wrong", code="invalid-credentials")
