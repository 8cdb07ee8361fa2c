"""`/sso/providers`: where people of an organization may sign in elsewhere."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common.clock import rfc3339
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Page
from libs.common.permissions import Permissions
from services.auth.domain.roles import RoleName
from services.auth.domain.sso import Algorithm, Kind, Provider
from services.auth.routes.shapes import role_name
from services.auth.usecases import identity_providers as providers
from services.auth.usecases.context import Context
from services.auth.usecases.identity_providers import Providers

Issuer = Annotated[str, Meta(max_length=2048, description="As in the provider's metadata, without a trailing path")]
Secret = Annotated[str, Meta(min_length=1, max_length=1024)]
Domains = Annotated[list[str], Meta(description="Proven domains of the organization whose addresses it vouches for")]
Names = Annotated[list[str], Meta(description="Ids or slugs of roles")]
Mapping = Annotated[dict[str, str], Meta(description="Which role (id or slug) a value of `role_claim` stands for")]


Url = Annotated[str, Meta(max_length=2048)]
Certificates = Annotated[list[str], Meta(description="SAML: in PEM, of the keys that sign its answers")]
SsoUrl = Annotated[str | None, Meta(description="SAML: where it takes requests by the redirect binding")]
Attribute = Annotated[str | None, Meta(description="SAML: which attribute is the address, if not the NameID")]


class ProviderInput(Input):
    """A client registered with an OpenID provider, or (`kind` is `saml`) a SAML 2.0 provider.

    A SAML provider needs `sso_url` and `certificates`, its entity id is the `issuer`, and `role_claim` names an
    attribute; it gets our metadata from `GET /auth/sso/{provider_id}/metadata`, and has no client.

    With `provision`, who has no account gets one with `default_roles`. Roles that `role_mapping` names come and go
    with the claim at each sign-in. With `trusts_mfa`, a sign-in whose `amr` tells of a second factor needs no other.
    """

    name: str
    issuer: Issuer
    email_domains: Domains
    kind: Kind = "oidc"
    client_id: str | None = None
    client_secret: Secret | None = None
    enabled: bool = True
    scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "email", "profile"])
    algorithm: Algorithm = "RS256"
    provision: bool = False
    default_roles: Names = msgspec.field(default_factory=lambda: ["member"])
    role_claim: str | None = None
    role_mapping: Mapping = msgspec.field(default_factory=dict)
    trusts_mfa: bool = False
    sso_url: SsoUrl = None
    certificates: Certificates = msgspec.field(default_factory=list)
    email_attribute: Attribute = None
    name_attribute: str | None = None


class ProviderPatch(Input):
    """A merge patch (RFC 7396) of a provider. Another issuer forgets the secret unless a new one is given."""

    name: str | UnsetType = UNSET
    issuer: Issuer | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: Secret | UnsetType | None = UNSET
    email_domains: Domains | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    scopes: list[str] | UnsetType = UNSET
    algorithm: Algorithm | UnsetType = UNSET
    provision: bool | UnsetType = UNSET
    default_roles: Names | UnsetType = UNSET
    role_claim: str | UnsetType | None = UNSET
    role_mapping: Mapping | UnsetType = UNSET
    trusts_mfa: bool | UnsetType = UNSET
    sso_url: Url | UnsetType = UNSET
    certificates: Certificates | UnsetType = UNSET
    email_attribute: str | UnsetType | None = UNSET
    name_attribute: str | UnsetType | None = UNSET


class ProviderAnswer(msgspec.Struct, frozen=True):
    """A provider; of its secret only whether there is one."""

    id: UUID
    name: str
    kind: Kind
    enabled: bool
    issuer: str
    client_id: str | None
    has_secret: bool
    scopes: tuple[str, ...]
    algorithm: Algorithm
    email_domains: tuple[str, ...]
    provision: bool
    default_roles: list[RoleName]
    role_claim: str | None
    role_mapping: dict[str, RoleName]
    trusts_mfa: bool
    sso_url: str | None
    certificates: tuple[str, ...]
    email_attribute: str | None
    name_attribute: str | None
    created_at: str
    updated_at: str


class ProvidersController(Controller):
    """Identity providers. They take the right to manage the organization, and vouch for no more than its holder has."""

    path = "/sso/providers"
    tags = ["Single sign-on"]  # noqa: RUF012

    @get(summary="List identity providers")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Page[ProviderAnswer]:
        """At most 50."""
        return Page(_answers(await providers.listed(auth, principal, permissions)), None)

    @post(summary="Add an identity provider")
    async def create(
        self,
        data: JSONBody[ProviderInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> ProviderAnswer:
        """Asks an OpenID issuer for its metadata first, unless it is not enabled."""
        given = providers.Given(**msgspec.structs.asdict(data))
        return _answers(await providers.create(auth, principal, permissions, given))[0]

    @get("/{provider_id:str}", summary="Get an identity provider")
    async def one(
        self,
        provider_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> ProviderAnswer:
        """One provider."""
        return _answers(await providers.get(auth, principal, permissions, parse_id(provider_id)))[0]

    @patch("/{provider_id:str}", summary="Change an identity provider")
    async def change(
        self,
        provider_id: FromPath[str],
        data: JSONBody[ProviderPatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> ProviderAnswer:
        """Changes what is given. From then on the provider vouches for what the roles of who changed it give."""
        changes = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
        found = await providers.change(auth, principal, permissions, parse_id(provider_id), changes)
        return _answers(found)[0]

    @delete("/{provider_id:str}", summary="Remove an identity provider")
    async def remove(
        self,
        provider_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """Accounts stay; their sessions go on."""
        await providers.delete(auth, principal, permissions, parse_id(provider_id))


def _answers(found: Providers) -> list[ProviderAnswer]:
    return [_answer(it, found) for it in found.providers]


def _answer(it: Provider, found: Providers) -> ProviderAnswer:
    of, roles = it.configuration, found.catalogue
    return ProviderAnswer(
        it.id, it.name, of.kind, it.enabled, of.issuer, of.client_id or None, it.id in found.with_secret, of.scopes,
        of.algorithm, of.email_domains, of.provision,
        [role_name(roles[role]) for role in of.default_roles if role in roles], of.role_claim,
        {value: role_name(roles[role]) for value, role in of.role_mapping.items() if role in roles},
        of.trusts_mfa, of.sso_url or None, of.certificates, of.email_attribute, of.name_attribute,
        rfc3339(it.created_at), rfc3339(it.updated_at),
    )  # fmt: skip
