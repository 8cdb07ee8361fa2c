"""What operators ask over NATS, by the `millrace` command."""

import secrets
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from services.auth.domain.organizations import Organization, TenantStatus
from services.auth.usecases import organizations, users
from services.auth.usecases.audit import Checked
from services.auth.usecases.context import Context


class NewTenant(msgspec.Struct):
    """A tenant to be; without a slug it is the first label of the domain."""

    name: str
    domain: str
    slug: str | None = None


class NewUser(msgspec.Struct):
    """A user to be, of the tenant with that slug; without a password one is made up and told."""

    tenant: str
    email: str
    name: str
    role: str
    password: str | None = None


class Tenant(msgspec.Struct):
    """A tenant as operators see it."""

    id: UUID
    slug: str
    name: str
    status: str
    domains: tuple[str, ...]


class User(msgspec.Struct, omit_defaults=True):
    """A user as operators see it; the password only where it was made up."""

    id: UUID
    email: str
    name: str
    status: str
    roles: tuple[UUID, ...]
    password: str | None = None


class SetStatus(msgspec.Struct):
    """Whether the tenant of that slug is active or suspended."""

    tenant: str
    status: TenantStatus


class CheckAudit(msgspec.Struct):
    """The audit log of which tenant, from the entry after a number whose hash is known, up to a number or its end."""

    tenant: str
    seq: int = 0
    hash: str = ""
    until: int | None = None


class Rotate(msgspec.Struct):
    """A question without words."""


class Rotated(msgspec.Struct):
    """The id of the key that signs now."""

    kid: str


def serve(bus: Bus, context: Context) -> None:
    """Answers operators."""

    async def create_tenant(question: NewTenant) -> Tenant:
        slug = question.slug or question.domain.partition(".")[0]
        return _tenant(await organizations.create(context, question.name, slug, question.domain))

    async def create_user(question: NewUser) -> User:
        tenant = await organizations.resolve(context, slug=question.tenant)
        password = question.password or secrets.token_urlsafe(15)
        given = users.NewUser(question.email, question.name, password, [question.role])
        it = (await users.add(context, tenant.id, users.EVERYTHING, given, verified=True)).users[0]
        return User(it.id, it.email, it.name, it.status, it.roles, None if question.password else password)

    async def rotate_keys(_: Rotate) -> Rotated:
        return Rotated(await context.keys.rotate())

    async def set_status(question: SetStatus) -> Tenant:
        return _tenant(await organizations.set_status(context, question.tenant, question.status))

    async def check_audit(question: CheckAudit) -> Checked:
        tenant = await organizations.resolve(context, slug=question.tenant)
        return await context.audit.check(tenant.id, question.seq, bytes.fromhex(question.hash), question.until)

    bus.serve("rpc.auth.admin.set_tenant_status", SetStatus, set_status)
    bus.serve("rpc.auth.admin.check_audit", CheckAudit, check_audit)
    bus.serve("rpc.auth.admin.create_tenant", NewTenant, create_tenant)
    bus.serve("rpc.auth.admin.create_user", NewUser, create_user)
    bus.serve("rpc.auth.admin.rotate_keys", Rotate, rotate_keys)


def _tenant(it: Organization) -> Tenant:
    return Tenant(it.id, it.slug, it.name, it.status, it.domains)
