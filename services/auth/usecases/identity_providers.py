"""Identity providers: set up by who manages the organization, for no more than they themselves may do."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.asides import aside
from libs.common.errors import Conflict, Fault, Invalid, NotFound, Unavailable
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Permissions
from libs.common.postgres import Connection
from services.auth.domain import grants, people
from services.auth.domain import roles as role_rules
from services.auth.domain import sso as rules
from services.auth.domain.audit import Party, of_principal
from services.auth.domain.organizations import require_active
from services.auth.domain.roles import Catalogue
from services.auth.domain.sso import Algorithm, Configuration, Kind, Provider
from services.auth.storage import organizations, roles, sso
from services.auth.usecases import saml
from services.auth.usecases.context import Context

_ATTRIBUTES = ("email_attribute", "name_attribute")


class Given(msgspec.Struct, frozen=True):
    """A provider as it is to be; roles by id or slug. `client_secret` None stands for a client without one.

    A SAML provider has no client, scopes and algorithm; another nothing of what comes after `kind`.
    """

    name: str
    enabled: bool
    issuer: str
    client_id: str | None
    client_secret: str | None
    scopes: Sequence[str]
    algorithm: Algorithm
    email_domains: Sequence[str]
    provision: bool
    default_roles: Sequence[str]
    role_claim: str | None
    role_mapping: Mapping[str, str]
    trusts_mfa: bool
    kind: Kind
    sso_url: str | None
    certificates: Sequence[str]
    email_attribute: str | None
    name_attribute: str | None


class Providers(msgspec.Struct, frozen=True):
    """Providers, with all roles of their tenant to name those that they give, and which have a secret."""

    providers: list[Provider]
    catalogue: Catalogue
    with_secret: frozenset[UUID]


async def listed(context: Context, principal: Principal, permissions: Permissions) -> Providers:
    """The providers of the principal's tenant."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        return await _told(connection, principal.tenant_id, await sso.providers(connection, principal.tenant_id))


async def get(context: Context, principal: Principal, permissions: Permissions, provider_id: UUID) -> Providers:
    """One provider."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        return await _told(connection, principal.tenant_id, [await _present(connection, principal, provider_id)])


async def offered(context: Context, tenant_id: UUID) -> list[Provider]:
    """The providers that people of a tenant may sign in by."""
    async with context.database.tenant(tenant_id) as connection:
        return [it for it in await sso.providers(connection, tenant_id) if it.enabled]


async def create(context: Context, principal: Principal, permissions: Permissions, given: Given) -> Providers:
    """A new provider, which answers as it should."""
    permissions.require("manage", "organization")
    _check(context, given)
    await _ask(context, given)
    tenant_id, now = principal.tenant_id, clock.now()
    async with context.database.tenant(tenant_id) as connection:
        await organizations.lock(connection, tenant_id)
        if len(await sso.providers(connection, tenant_id)) >= rules.MAX_PROVIDERS:
            raise Conflict(f"At most {rules.MAX_PROVIDERS} providers are kept", code="too-many-providers")
        configuration = await _configuration(connection, principal, permissions, given)
        provider = Provider(new_id(), given.name.strip(), given.enabled, configuration, now, now)
        await sso.insert(connection, tenant_id, provider, _sealed(context, provider.id, given.client_secret))
        await _note(context, connection, principal, "created", provider)
        return await _told(connection, tenant_id, [provider])


async def change(
    context: Context, principal: Principal, permissions: Permissions, provider_id: UUID,
    changes: Mapping[str, object],
) -> Providers:  # fmt: skip
    """Changes a provider. From then on it vouches for what the principal's roles give."""
    permissions.require("manage", "organization")
    tenant_id = principal.tenant_id
    async with context.database.tenant(tenant_id) as connection:
        before = await _present(connection, principal, provider_id)
        secret = await sso.secret(connection, tenant_id, provider_id)
    given = _merged(before, changes)
    _check(context, given)
    if {"issuer", "enabled"} & changes.keys():
        await _ask(context, given)
    async with context.database.tenant(tenant_id) as connection:
        await organizations.lock(connection, tenant_id)
        if await _present(connection, principal, provider_id) != before:
            raise Conflict("The provider was changed meanwhile", code="busy", retry_after=1)
        configuration = await _configuration(connection, principal, permissions, given)
        after = Provider(provider_id, given.name.strip(), given.enabled, configuration, before.created_at, clock.now())
        if "client_secret" in changes:
            secret = _sealed(context, provider_id, given.client_secret)
        elif configuration.issuer != before.configuration.issuer:
            secret = None  # It was told to us for another provider, and goes to no one else.
        await sso.update(connection, tenant_id, after, secret)
        await _note(context, connection, principal, "updated", after)
        return await _told(connection, tenant_id, [after])


async def delete(context: Context, principal: Principal, permissions: Permissions, provider_id: UUID) -> None:
    """Deletes a provider. People whom it vouched for stay, and sign in otherwise."""
    permissions.require("manage", "organization")
    async with context.database.tenant(principal.tenant_id) as connection:
        await organizations.lock(connection, principal.tenant_id)
        provider = await _present(connection, principal, provider_id)
        await sso.delete(connection, principal.tenant_id, provider_id)
        await _note(context, connection, principal, "deleted", provider)


def _check(context: Context, given: Given) -> None:
    """Raises where a provider cannot be as it is given."""
    faults = people.check_name(given.name)
    if given.kind == "saml":
        plain = context.openid.outward.private
        faults = [*faults, *_out_of_place(given), *saml.check(_configured(given), plain=plain)]
    else:
        faults = [*faults, *_out_of_place(given), *context.openid.outward.check(given.issuer, "/issuer")]
        faults += [Fault("/client_id", "required", "'client_id' is required")] if given.client_id is None else []
    if faults:
        raise Invalid(errors=faults)


async def _ask(context: Context, given: Given) -> None:
    """Raises where the issuer is no provider; a disabled one is not asked, and one of SAML never is."""

    async def ask() -> None:
        context.openid.forget(given.issuer)
        try:
            await context.openid.metadata(given.issuer)
        except Unavailable as error:
            raise Invalid(errors=[Fault("/issuer", "no_provider", error.detail)]) from error

    if given.enabled and given.kind == "oidc":
        await aside(ask)


async def _configuration(
    connection: Connection, principal: Principal, permissions: Permissions, given: Given
) -> Configuration:
    tenant_id = principal.tenant_id
    organization = require_active(await organizations.get(connection, tenant_id))
    catalogue = await roles.catalogue(connection, tenant_id)
    mapping = {value: role_rules.choose(catalogue, [named])[0] for value, named in given.role_mapping.items()}
    configuration = msgspec.structs.replace(
        _configured(given), default_roles=role_rules.choose(catalogue, given.default_roles), role_mapping=mapping,
        maker_roles=principal.roles,
    )  # fmt: skip
    if faults := rules.check(configuration, organization.domains, enabled=given.enabled):
        raise Invalid(errors=faults)
    given_roles = {*configuration.default_roles, *mapping.values()}
    grants.require_covered(permissions, role_rules.flatten_all(catalogue, given_roles))
    return configuration


def _configured(given: Given) -> Configuration:
    """The configuration that is given, still without roles."""
    return Configuration(
        given.issuer, given.client_id or "", tuple(given.scopes) if given.kind == "oidc" else (), given.algorithm,
        tuple(domain.strip().lower() for domain in given.email_domains), given.provision, (), given.role_claim, {},
        given.trusts_mfa, (), given.kind, given.sso_url or "", tuple(given.certificates), given.email_attribute,
        given.name_attribute,
    )  # fmt: skip


def _out_of_place(given: Given) -> list[Fault]:
    """Faults of what the other kind of provider has."""
    of = ("client_id", "client_secret") if given.kind == "saml" else ("sso_url", "certificates", *_ATTRIBUTES)
    detail = "Providers of this kind have none"
    return [Fault(f"/{name}", "not_of_this_kind", detail) for name in of if getattr(given, name)]


def _merged(before: Provider, changes: Mapping[str, object]) -> Given:
    """A provider with what changes of it; roles that are gone are left out."""
    it = before.configuration
    kept: dict[str, object] = {
        "name": before.name, "enabled": before.enabled, "client_secret": None, "issuer": it.issuer,
        "client_id": it.client_id or None, "scopes": it.scopes, "algorithm": it.algorithm,
        "email_domains": it.email_domains, "provision": it.provision,
        "default_roles": [str(role) for role in it.default_roles],
        "role_claim": it.role_claim, "trusts_mfa": it.trusts_mfa,
        "role_mapping": {value: str(role) for value, role in it.role_mapping.items()}, "kind": it.kind,
        "sso_url": it.sso_url or None, "certificates": it.certificates, "email_attribute": it.email_attribute,
        "name_attribute": it.name_attribute,
    }  # fmt: skip
    return Given(**kept | dict(changes))  # type: ignore[arg-type]


def _sealed(context: Context, provider_id: UUID, secret: str | None) -> bytes | None:
    return None if secret is None else context.providers.close(secret.encode(), provider_id.bytes)


async def _told(connection: Connection, tenant_id: UUID, found: list[Provider]) -> Providers:
    catalogue = await roles.catalogue(connection, tenant_id)
    secrets = {it.id: await sso.secret(connection, tenant_id, it.id) for it in found}
    return Providers(found, catalogue, frozenset(key for key, secret in secrets.items() if secret is not None))


async def _present(connection: Connection, principal: Principal, provider_id: UUID) -> Provider:
    found = await sso.provider(connection, principal.tenant_id, provider_id)
    if found is None:
        raise NotFound
    return found


async def _note(context: Context, connection: Connection, principal: Principal, verb: str, it: Provider) -> None:
    by, target = of_principal(principal), Party("identity_provider", it.id, it.name)
    details = {"issuer": it.configuration.issuer, "enabled": it.enabled}
    await context.audit.note(connection, principal.tenant_id, f"identity_provider.{verb}", by, target, details=details)
