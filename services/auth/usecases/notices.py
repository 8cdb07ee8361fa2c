"""Mailing people what happened to their account, with the transaction in which it happened."""

from uuid import UUID

from libs.common.clock import rfc3339
from libs.common.postgres import Connection
from services.auth.domain import notices, seeds
from services.auth.domain.notices import Happening
from services.auth.domain.organizations import Organization
from services.auth.domain.people import User
from services.auth.domain.sessions import Client
from services.auth.storage import organizations, roles, users
from services.auth.usecases.context import Context

MAX_OWNERS = 50


async def to_user(
    context: Context, connection: Connection, tenant_id: UUID, user: User | UUID, happening: Happening,
    client: Client | None = None, more: str | None = None,
) -> None:  # fmt: skip
    """Mails a user what happened, when the transaction is committed."""
    organization = await organizations.get(connection, tenant_id)
    known = user if isinstance(user, User) else await users.get(connection, tenant_id, user)
    if organization is None or known is None or known.status != "active":
        return
    await context.post.enqueue(connection, tenant_id, notices.compose(happening, organization, known, client, more))


async def to_owners(context: Context, connection: Connection, organization: Organization, happening: Happening) -> None:
    """Mails those who own an organization."""
    catalogue = await roles.catalogue(connection, organization.id)
    owner = next((role.id for role in catalogue.values() if role.slug == seeds.OWNER), None)
    found = await users.with_role(connection, organization.id, owner, MAX_OWNERS) if owner else []
    at = organization.deletes_at
    more = f"It goes at {rfc3339(at)}, unless one of you takes it back until then." if at else None
    for user in found:
        await context.post.enqueue(
            connection, organization.id, notices.compose(happening, organization, user, None, more)
        )
