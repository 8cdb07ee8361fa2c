"""What operators ask over NATS, by the `millrace` command."""

import secrets
from datetime import timedelta
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.plans import Limits
from libs.common.sealing import START, After, Resealed
from services.auth.domain.organizations import Organization
from services.auth.usecases import deletions, organizations, users
from services.auth.usecases.audit import Checked
from services.auth.usecases.context import Context
from services.auth.usecases.deletions import Progress
from services.auth.usecases.resealing import Resealer


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
    status: Literal["active", "suspended"]


class DeleteTenant(msgspec.Struct):
    """The tenant of that slug goes after so many days, or after those of the setting."""

    tenant: str
    grace_days: float | None = None


class OneTenant(msgspec.Struct):
    """A tenant by its slug, or by its id where it may be gone."""

    tenant: str


class SetLimits(msgspec.Struct):
    """What the plan of the tenant of that slug allows from now on."""

    tenant: str
    limits: Limits


class CheckAudit(msgspec.Struct):
    """The audit log of which tenant, from the entry after a number whose hash is known, up to a number or its end."""

    tenant: str
    seq: int = 0
    hash: str = ""
    until: int | None = None


class Rotate(msgspec.Struct):
    """A question without words."""


class Reseal(msgspec.Struct):
    """From where to go on."""

    after: After = START


class Rotated(msgspec.Struct):
    """The id of the key that signs now."""

    kid: str


def serve(bus: Bus, context: Context, resealer: Resealer) -> None:
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

    async def delete_tenant(question: DeleteTenant) -> Tenant:
        days = question.grace_days
        grace = None if days is None else timedelta(days=max(0.0, days))
        return _tenant(await deletions.order(context, question.tenant, grace))

    async def restore_tenant(question: OneTenant) -> Tenant:
        return _tenant(await deletions.recall(context, question.tenant))

    async def deletion(question: OneTenant) -> Progress:
        return await deletions.progress(context, question.tenant)

    async def set_limits(question: SetLimits) -> Limits:
        return (await organizations.set_limits(context, question.tenant, question.limits)).limits

    async def check_audit(question: CheckAudit) -> Checked:
        tenant = await organizations.resolve(context, slug=question.tenant)
        return await context.audit.check(tenant.id, question.seq, bytes.fromhex(question.hash), question.until)

    async def reseal(question: Reseal) -> Resealed:
        return await resealer.step(question.after)

    bus.serve("rpc.auth.admin.reseal", Reseal, reseal)
    bus.serve("rpc.auth.admin.set_tenant_status", SetStatus, set_status)
    bus.serve("rpc.auth.admin.delete_tenant", DeleteTenant, delete_tenant)
    bus.serve("rpc.auth.admin.restore_tenant", OneTenant, restore_tenant)
    bus.serve("rpc.auth.admin.deletion", OneTenant, deletion)
    bus.serve("rpc.auth.admin.set_limits", SetLimits, set_limits)
    bus.serve("rpc.auth.admin.check_audit", CheckAudit, check_audit)
    bus.serve("rpc.auth.admin.create_tenant", NewTenant, create_tenant)
    bus.serve("rpc.auth.admin.create_user", NewUser, create_user)
    bus.serve("rpc.auth.admin.rotate_keys", Rotate, rotate_keys)


def _tenant(it: Organization) -> Tenant:
    return Tenant(it.id, it.slug, it.name, it.status, it.domains)
