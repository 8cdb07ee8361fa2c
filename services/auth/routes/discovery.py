"""What verifiers and the gateway ask without a token: keys, and who a host belongs to."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from libs.common.errors import Fault, Invalid
from libs.common.identity import ISSUER
from libs.common.ids import parse_id
from services.auth.domain.keys import ALGORITHM, Jwk
from services.auth.routes.shapes import ANYONE, origin_of
from services.auth.usecases import organizations
from services.auth.usecases.context import Context


class KeysAnswer(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[Jwk]


class ConfigurationAnswer(msgspec.Struct, frozen=True):
    """Provider metadata (OpenID Connect Discovery 1.0), as far as this is a provider: of signed access tokens."""

    issuer: str
    jwks_uri: str
    id_token_signing_alg_values_supported: tuple[str, ...]
    subject_types_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...]


class ResolvedAnswer(msgspec.Struct, frozen=True):
    """The tenant that a host or slug names, and the networks from which it may be reached, none for all."""

    id: UUID
    slug: str
    name: str
    status: str
    addresses: tuple[str, ...]
    requests_per_minute: int | None
    requests_per_day: int | None


class WellKnownController(Controller):
    """Keys and metadata."""

    path = "/.well-known"
    tags = ["Discovery"]  # noqa: RUF012
    security = ANYONE
    cache_control = CacheControlHeader(public=True, max_age=60)

    @get("/jwks.json", summary="The keys that access tokens are signed with")
    async def jwks(self, auth: NamedDependency[Context]) -> KeysAnswer:
        """The key that signs now, the next one, and those whose tokens may still live."""
        return KeysAnswer(await auth.keys.jwks())

    @get("/report-keys.json", summary="The keys that reports were ever signed with")
    async def report_keys(self, auth: NamedDependency[Context]) -> KeysAnswer:
        """Also those that are retired: a report can be checked for as long as the platform stands. Not for tokens."""
        return KeysAnswer(await auth.keys.history())

    @get("/openid-configuration", summary="Provider metadata")
    async def configuration(self, request: Request[Any, Any, Any]) -> ConfigurationAnswer:
        """Where the keys are, and how tokens are signed."""
        return ConfigurationAnswer(ISSUER, f"{origin_of(request)}/.well-known/jwks.json", (ALGORITHM,), ("public",), ())


@get("/internal/tenants/resolve", include_in_schema=False)
async def resolve(
    auth: NamedDependency[Context],
    host: FromQuery[str | None] = None,
    slug: FromQuery[str | None] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="id")] = None,
) -> ResolvedAnswer:
    """The tenant of a host, a slug or an id, for the gateway."""
    if tenant_id:
        it = await organizations.get(auth, parse_id(tenant_id))
    elif host or slug:
        it = await organizations.resolve(auth, host=host, slug=slug)
    else:
        raise Invalid(errors=[Fault("/host", "required", "'host', 'slug' or 'id' is required")])
    requests = (it.limits.requests_per_minute, it.limits.requests_per_day)
    return ResolvedAnswer(it.id, it.slug, it.name, it.status, it.security.ip_allow_list, *requests)
