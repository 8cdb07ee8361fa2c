"""Tenants: signing up, making them, finding them, changing them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.errors import Conflict, Fault, Invalid, NotFound
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.plans import Limits
from libs.common.postgres import Connection
from services.auth.domain import events, people, seeds
from services.auth.domain import organizations as rules
from services.auth.domain import roles as role_rules
from services.auth.domain.audit import Party, of_principal, of_user
from services.auth.domain.organizations import Branding, Organization, Security, TenantStatus
from services.auth.domain.people import User
from services.auth.domain.roles import Role
from services.auth.domain.sessions import Client
from services.auth.storage import organizations, roles, sessions, users
from services.auth.usecases import mailed
from services.auth.usecases.context import Context
from services.auth.usecases.sessions import begin
from services.auth.usecases.tokens import Tokens


class SignUp(msgspec.Struct, frozen=True):
    """Who signs up, as what organization."""

    organization: str
    slug: str
    email: str
    password: str
    name: str


async def sign_up(context: Context, given: SignUp, client: Client) -> tuple[Organization, User, Tokens]:
    """A new tenant with its roles, its owner, and the owner's session."""
    email = people.normalize_email(given.email)
    _refuse([
        *people.check_name(given.organization, "/organization"), *rules.check_slug(given.slug),
        *people.check_email(email), *people.check_name(given.name),
        *people.check_password(given.password, (email, given.name, given.organization, given.slug)),
    ])  # fmt: skip
    organization = _new(given.organization, given.slug)
    password_hash = await context.hasher.hash(given.password)
    signer = await context.keys.signer()
    now = organization.created_at
    async with context.database.tenant(organization.id) as connection:
        owner, *_ = await _found(connection, organization)
        user = User(new_id(), email, given.name.strip(), organization.locale, "active", now, now, None, (owner.id,))
        await users.insert(connection, organization.id, user, password_hash)
        await outbox.record(connection, organization.id, [events.user("created", user)])
        await mailed.send(context, connection, organization.id, user, "email_verification")
        await _note(context, connection, "created", of_user(user), organization, {})
        tokens = await begin(context, connection, organization.id, signer, user, client)
    context.post.wake()
    return organization, user, tokens


async def create(context: Context, name: str, slug: str, domain: str | None) -> Organization:
    """A new tenant with its roles and nobody in it, as an operator makes it."""
    host = rules.host_name(domain) if domain else None
    faults = [*people.check_name(name), *rules.check_slug(slug)]
    if host is not None:
        faults += rules.check_domain(host, slug, context.base_domains)
    _refuse(faults)
    organization = _new(name, slug, (host,) if host else ())
    async with context.database.tenant(organization.id) as connection:
        await _found(connection, organization)
        await _note(context, connection, "created", None, organization, {})
    return organization


async def set_status(context: Context, slug: str, status: TenantStatus) -> Organization:
    """Suspends a tenant, or lets it go on, as an operator does."""
    tenant_id = (await resolve(context, slug=slug)).id
    async with context.database.tenant(tenant_id) as connection:
        await organizations.lock(connection, tenant_id)
        before = await _get(connection, tenant_id)
        if before.status == status:
            return before
        if before.status not in ("active", "suspended"):
            raise Conflict("The organization is being deleted; restore it first", code="deleting")
        after = msgspec.structs.replace(before, status=status, updated_at=clock.now())
        await organizations.update(connection, after)
        await outbox.record(connection, tenant_id, [events.tenant("updated", after)])
        await _note(context, connection, "updated", None, after, _differences(before, after))
    return after


async def set_limits(context: Context, slug: str, limits: Limits) -> Organization:
    """What a tenant's plan allows from now on, as an operator says."""
    tenant_id = (await resolve(context, slug=slug)).id
    _refuse(rules.check_limits(limits))
    async with context.database.tenant(tenant_id) as connection:
        await organizations.lock(connection, tenant_id)
        before = await _get(connection, tenant_id)
        after = msgspec.structs.replace(before, limits=limits, updated_at=clock.now())
        await organizations.update(connection, after)
        await outbox.record(connection, tenant_id, [events.tenant("updated", after)])
        await _note(context, connection, "updated", None, after, _differences(before, after))
    return after


async def resolve(context: Context, *, host: str | None = None, slug: str | None = None) -> Organization:
    """The tenant that a host or a slug names."""
    name = rules.host_name(host) if host else None
    wanted = slug or (rules.slug_of_host(name, context.base_domains) if name else None)
    tenant_id = None
    async with context.database.system() as connection:
        if wanted:
            tenant_id = await organizations.id_of_slug(connection, wanted)
        if tenant_id is None and name:
            tenant_id = await organizations.id_of_domain(connection, name)
    if tenant_id is None:
        raise NotFound("There is no such organization", code="tenant-not-found")
    return await get(context, tenant_id)


async def get(context: Context, tenant_id: UUID) -> Organization:
    """A tenant by its id."""
    async with context.database.tenant(tenant_id) as connection:
        return await _get(connection, tenant_id)


class Change(msgspec.Struct, frozen=True):
    """What changes of an organization; None leaves as it is. Of look and security, what is named changes."""

    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    branding: Mapping[str, str | None] = {}
    security: Mapping[str, Any] = {}


async def change(
    context: Context, principal: Principal, permissions: Permissions, given: Change, address: str | None
) -> Organization:
    """Changes the principal's organization."""
    permissions.require("update", "organization")
    if given.security:
        permissions.require("manage", "organization")
    _refuse(_faults(given))
    async with context.database.tenant(principal.tenant_id) as connection:
        await organizations.lock(connection, principal.tenant_id)
        before = await _get(connection, principal.tenant_id)
        after = _changed(before, given)
        if after == before:
            return before
        if given.security:
            _refuse(rules.check_security(after.security, address))
        after = msgspec.structs.replace(after, updated_at=clock.now())
        await organizations.update(connection, after)
        ended = []
        if after.security.mfa_required and not before.security.mfa_required:
            ended = await sessions.revoke_single_factor(connection, after.id)
        revoked = [events.session_revoked(user_id, session_id) for user_id, session_id in ended]
        await outbox.record(connection, after.id, [events.tenant("updated", after), *revoked])
        await _note(context, connection, "updated", of_principal(principal), after, _differences(before, after))
    return after


async def _note(
    context: Context, connection: Connection, verb: str, by: Party | None, it: Organization, details: dict[str, Any]
) -> None:
    target = Party("organization", it.id, it.name)
    await context.audit.note(connection, it.id, f"organization.{verb}", by, target, details=details)


def _differences(before: Organization, after: Organization) -> dict[str, Any]:
    return {
        name: [msgspec.to_builtins(getattr(it, name)) for it in (before, after)]
        for name in ("name", "status", "locale", "time_zone", "branding", "security", "limits")
        if getattr(before, name) != getattr(after, name)
    }


def _faults(given: Change) -> list[Fault]:
    return [
        *(people.check_name(given.name) if given.name is not None else ()),
        *(people.check_locale(given.locale) if given.locale is not None else ()),
        *(rules.check_time_zone(given.time_zone) if given.time_zone is not None else ()),
        *rules.check_branding(Branding(**given.branding)),
    ]


def _changed(before: Organization, given: Change) -> Organization:
    return msgspec.structs.replace(
        before,
        name=before.name if given.name is None else given.name.strip(),
        locale=given.locale or before.locale,
        time_zone=given.time_zone or before.time_zone,
        branding=msgspec.structs.replace(before.branding, **given.branding),
        security=msgspec.structs.replace(before.security, **given.security),
    )


async def _get(connection: Connection, tenant_id: UUID) -> Organization:
    found = await organizations.get(connection, tenant_id)
    if found is None:
        raise NotFound("There is no such organization", code="tenant-not-found")
    return found


async def _found(connection: Connection, organization: Organization) -> list[Role]:
    await organizations.insert(connection, organization)
    seeded = seeds.seeded(organization.created_at)
    catalogue = {role.id: role for role in seeded}
    announced = [role_rules.announced(catalogue, role) for role in seeded]
    for role, flattened in zip(seeded, announced, strict=True):
        await roles.insert(connection, organization.id, role)
        await roles.write_flattened(connection, organization.id, flattened)
    new = [events.tenant("created", organization), *(events.role("created", role) for role in announced)]
    await outbox.record(connection, organization.id, new)
    return seeded


def _new(name: str, slug: str, domains: tuple[str, ...] = ()) -> Organization:
    now = clock.now()
    return Organization(new_id(), slug, name.strip(), "active", "en", "UTC", Branding(), Security(), now, now, domains)


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Invalid(errors=faults)
