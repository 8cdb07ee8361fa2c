"""Acting in another's name: where the organization consents, for a reason, for some minutes, and seen by everyone.

The token says who acts (`act`, RFC 8693 §4.1), and so does its name, which history, events and presence show. It is not
renewed. It opens nothing that the one who acts may not do anyway, and nothing in auth is changed by it.
"""

from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from libs.common.identity import Actor, Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from services.auth.domain import grants, seeds
from services.auth.domain import roles as role_rules
from services.auth.domain.audit import of_principal, of_user
from services.auth.domain.organizations import require_active
from services.auth.domain.people import User
from services.auth.domain.roles import Catalogue
from services.auth.domain.sessions import Client, Session
from services.auth.storage import organizations, roles, sessions, users
from services.auth.usecases import notices
from services.auth.usecases.context import Context
from services.auth.usecases.tokens import Subject, access_token

MAX_REASON = 500


class Acting(msgspec.Struct, frozen=True):
    """A token in another's name, the session that ends it, and who that is."""

    access_token: str
    expires_in: int
    session_id: UUID
    user: User


async def begin(
    context: Context, principal: Principal, permissions: Permissions, user_id: UUID, reason: str, client: Client
) -> Acting:
    """Lets the principal act as a user who may do nothing beyond what they may."""
    permissions.require("manage", "users")
    if principal.kind != "user":
        raise Forbidden("Only people act in another's name", code="people-only")
    if not 0 < len(reason.strip()) <= MAX_REASON:
        raise Invalid(errors=[Fault("/reason", "invalid_reason", f"A reason has 1 to {MAX_REASON} characters")])
    if user_id == principal.id:
        raise Conflict("That is you", code="own-name")
    tenant_id, signer = principal.tenant_id, await context.keys.signer()
    async with context.database.tenant(tenant_id) as connection:
        organization = require_active(await organizations.get(connection, tenant_id))
        if not organization.security.impersonation:
            raise Forbidden("The organization has not consented to it", code="impersonation-not-allowed")
        user = await users.hold(connection, tenant_id, user_id)
        if user is None or user.status != "active":
            raise NotFound
        _require_covered(await roles.catalogue(connection, tenant_id), principal, permissions, user)
        now, life = clock.now(), context.lifetimes.access_token
        session = Session(
            new_id(), user.id, client.user_agent, client.address, now, now, now + life, mfa=False,
            actor_id=principal.id, actor_name=principal.name, reason=reason.strip(),
        )  # fmt: skip
        await sessions.insert(connection, tenant_id, session)
        name = f"{user.name} (by {principal.name})"
        actor = Actor(principal.id, principal.session_id, principal.name)
        token, seconds = access_token(
            signer, tenant_id, Subject(user.id, session.id, "user", name, user.roles, actor), life
        )
        more = f"{principal.name}: {session.reason}"
        await notices.to_user(context, connection, tenant_id, user, "impersonated", client, more)
        await context.audit.note(
            connection, tenant_id, "session.impersonated", of_principal(principal), of_user(user),
            address=client.address, details={"reason": session.reason, "session_id": str(session.id)},
        )  # fmt: skip
    context.post.wake()
    return Acting(token, seconds, session.id, user)


def restrict(method: str, path: str, principal: Principal) -> None:
    """Who acts in another's name may look at what auth shows that person, and end the session; nothing else."""
    if principal.actor is None or method in ("GET", "HEAD", "OPTIONS"):
        return
    if method == "DELETE" and path.endswith(f"/sessions/{principal.session_id}"):
        return
    raise Forbidden("Who acts in another's name does not change accounts and rights", code="impersonating")


def _require_covered(catalogue: Catalogue, principal: Principal, permissions: Permissions, user: User) -> None:
    owner = next((role.id for role in catalogue.values() if role.slug == seeds.OWNER), None)
    if owner in user.roles and owner not in principal.roles:
        raise Forbidden("Only an owner acts as an owner", code="beyond-own-grants")
    grants.require_covered(permissions, role_rules.flatten_all(catalogue, user.roles))
