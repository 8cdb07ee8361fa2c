"""What may not be done by whoever finds a browser open: it takes the password, a code, or a sign-in just now."""

from datetime import timedelta

import msgspec

from libs.common import clock
from libs.common.errors import Fault, Forbidden, Invalid
from libs.common.identity import Principal
from services.auth.domain import attempts
from services.auth.domain import second_factors as rules
from services.auth.domain.sessions import Client
from services.auth.storage import sessions, users
from services.auth.usecases import credentials
from services.auth.usecases import second_factors as factor_cases
from services.auth.usecases.context import Context

FRESH = timedelta(minutes=5)


class Proof(msgspec.Struct, frozen=True):
    """What one gives to show that it is oneself: a password or a code of the second factor."""

    password: str | None = None
    code: str | None = None


async def require(context: Context, principal: Principal, proof: Proof, client: Client) -> None:
    """Raises unless the principal proves who they are, or signed in within five minutes."""
    if principal.kind != "user":
        raise Forbidden("Only people do this", code="people-only")
    if proof.code is not None:
        await _by_code(context, principal, proof.code)
    elif proof.password is not None:
        await _by_password(context, principal, proof.password, client)
    elif not await _just_now(context, principal):
        raise Forbidden("Prove who you are by 'password' or 'code', or sign in anew", code="proof-required")


async def _by_code(context: Context, principal: Principal, code: str) -> None:
    tenant_id, user_id = principal.tenant_id, principal.id
    async with factor_cases.guessing(context, tenant_id, user_id, rules.wrong_code_field()) as connection:
        await factor_cases.prove(context, connection, tenant_id, user_id, code)


async def _by_password(context: Context, principal: Principal, password: str, client: Client) -> None:
    async with context.database.tenant(principal.tenant_id) as connection:
        user = await users.get(connection, principal.tenant_id, principal.id)
        known = await users.credentials(connection, principal.tenant_id, user.email) if user else None
    counters = attempts.of_account(principal.tenant_id, user.email if user else "", client.address)
    wrong = Invalid(errors=[Fault("/password", "wrong", "This is not the password")])
    await credentials.prove(context, counters, known, password, wrong=wrong)


async def _just_now(context: Context, principal: Principal) -> bool:
    async with context.database.tenant(principal.tenant_id) as connection:
        began = await sessions.began(connection, principal.tenant_id, principal.id, principal.session_id)
    return began is not None and clock.now() - began < FRESH
