"""`/auth/sso`: signing in by an identity provider.

The one cookie of the platform binds such a sign-in to the browser that began it; it signs nobody in by itself.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.pages import Page
from services.auth.domain.sso import FLOW_LIFE
from services.auth.routes.shapes import ANYONE, client_of, origin_of
from services.auth.routes.sign_in import LoginAnswer, MfaAnswer, Secret, signed_in, tenant_of
from services.auth.usecases import identity_providers, sso
from services.auth.usecases.context import Context
from services.auth.usecases.saml import MAX_RESPONSE

_COOKIE = "millrace-sso"


class ArrivalInput(Input):
    """What the address of the page had after `#sso_token=`."""

    token: Secret


class PostedInput(msgspec.Struct, frozen=True):
    """What the form of a SAML provider brings."""

    response: Annotated[str, Meta(max_length=MAX_RESPONSE)] = msgspec.field(name="SAMLResponse")
    state: Annotated[str, Meta(max_length=200)] = msgspec.field(name="RelayState")


class OfferedAnswer(msgspec.Struct, frozen=True):
    """A provider, and where signing in by it begins."""

    id: UUID
    name: str
    authorize: str


class SsoController(Controller):
    """Signing in by an identity provider."""

    path = "/auth/sso"
    tags = ["Single sign-on"]  # noqa: RUF012
    security = ANYONE
    cache_control = CacheControlHeader(no_store=True)

    @get(summary="By which providers one may sign in")
    async def offered(self, request: Request[Any, Any, Any], auth: NamedDependency[Context]) -> Page[OfferedAnswer]:
        """Those of the host's organization, for the page that signs in."""
        found = await identity_providers.offered(auth, tenant_of(request))
        return Page([OfferedAnswer(it.id, it.name, f"/api/v1/auth/sso/{it.id}/authorize") for it in found], None)

    @get("/{provider_id:str}/authorize", summary="Begin to sign in by a provider", status_code=302)
    async def authorize(
        self,
        request: Request[Any, Any, Any],
        provider_id: FromPath[str],
        auth: NamedDependency[Context],
        return_to: FromQuery[str | None] = None,
    ) -> Response[None]:
        """Sends the browser to the provider, from a host of the organization.

        `return_to` is a path of the same host. The page there gets `#sso_token=` for `POST /auth/sso/token`, or
        `#sso_error=`; without one the tokens are the answer to the provider's redirect.
        """
        origin = origin_of(request)
        host = urlsplit(origin).hostname or ""
        it = await sso.depart(auth, tenant_of(request), parse_id(provider_id), origin, host, return_to)
        cookie = Cookie(
            _cookie_name(request), value=it.browser, path="/", httponly=True, samesite="lax",
            secure=_is_secure(request), max_age=int(FLOW_LIFE.total_seconds()),
        )  # fmt: skip
        return Response(None, status_code=302, headers={"location": it.url}, cookies=[cookie])

    @get("/{provider_id:str}/callback", summary="Come back from a provider")
    async def callback(
        self,
        request: Request[Any, Any, Any],
        provider_id: FromPath[str],
        auth: NamedDependency[Context],
        given_state: Annotated[str, QueryParameter(name="state")],
        code: FromQuery[str | None] = None,
        issuer: Annotated[str | None, QueryParameter(name="iss")] = None,
        error: FromQuery[str | None] = None,
    ) -> Response[LoginAnswer | MfaAnswer | None]:
        """Where the provider's redirect leads. Good once, and only in the browser that began."""
        tenant_id, told = tenant_of(request), sso.Answer(given_state, code, issuer, error)
        browser = _browser(request)
        it = await sso.arrive(auth, tenant_id, parse_id(provider_id), browser, told, client_of(request))
        if isinstance(it, sso.Page):
            return Response(None, status_code=303, headers={"location": _location(it)})
        return Response(await signed_in(auth, tenant_id, it), status_code=200)

    @get(
        "/{provider_id:str}/metadata", summary="What a SAML provider has to know of us",
        media_type="application/samlmetadata+xml",
    )  # fmt: skip
    async def metadata(
        self, request: Request[Any, Any, Any], provider_id: FromPath[str], auth: NamedDependency[Context]
    ) -> bytes:
        """The metadata document of the host that is asked: the address of this document is the entity id."""
        origin = origin_of(request)
        host = urlsplit(origin).hostname or ""
        return await sso.describe(auth, tenant_of(request), parse_id(provider_id), origin, host)

    @post("/{provider_id:str}/acs", summary="Come back from a SAML provider", status_code=303)
    async def acs(
        self,
        request: Request[Any, Any, Any],
        provider_id: FromPath[str],
        data: Annotated[PostedInput, Body(media_type=RequestEncodingType.URL_ENCODED)],
        auth: NamedDependency[Context],
    ) -> Response[None]:
        """Where the provider's form leads. Good once; the page that waits gets `#sso_token=` or `#sso_error=`.

        Browsers send no cookie along with such a form, so it is the page that proves to be in the browser that began.
        """
        it = await sso.arrive_saml(
            auth, tenant_of(request), parse_id(provider_id), origin_of(request), data.state, data.response,
            client_of(request),
        )  # fmt: skip
        return Response(None, status_code=303, headers={"location": _location(it)})

    @post("/token", summary="Fetch the tokens of a sign-in by a provider", status_code=200)
    async def token(
        self, request: Request[Any, Any, Any], data: JSONBody[ArrivalInput], auth: NamedDependency[Context]
    ) -> LoginAnswer | MfaAnswer:
        """For the page that was returned to, within a minute and once; a second factor may be asked for."""
        tenant_id, entered = await sso.fetch(auth, data.token, _browser(request), client_of(request))
        return await signed_in(auth, tenant_id, entered)


def _location(it: sso.Page) -> str:
    what = f"sso_token={it.token}" if it.token else f"sso_error={it.error}"
    return f"{it.path.partition('#')[0]}#{what}"


def _is_secure(request: Request[Any, Any, Any]) -> bool:
    return origin_of(request).startswith("https:")


def _cookie_name(request: Request[Any, Any, Any]) -> str:
    # The prefix keeps hosts below and beside from setting it (RFC 6265bis §4.1.3.2).
    return f"__Host-{_COOKIE}" if _is_secure(request) else _COOKIE


def _browser(request: Request[Any, Any, Any]) -> str:
    return request.cookies.get(_cookie_name(request), "")
