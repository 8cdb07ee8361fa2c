"""`/auth`: signing up, in and out."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common.app import Platform, anonymous_tenant
from libs.common.errors import Forbidden
from libs.common.http import Input
from libs.common.ids import parse_id
from libs.common.tokens import bearer
from services.auth.domain import second_factors
from services.auth.domain.second_factors import MAX_CODE, Enrolment, Method
from services.auth.domain.sessions import read_refresh_token
from services.auth.routes.shapes import (
    ANYONE,
    OrganizationAnswer,
    UserAnswer,
    client_of,
    named_user,
    organization_answer,
    user_answer,
)
from services.auth.usecases import organizations, sessions, sign_in, users
from services.auth.usecases.context import Context
from services.auth.usecases.sign_in import Challenge, SignedIn
from services.auth.usecases.tokens import Tokens

# No rule of a password, only a bound on what is hashed.
Secret = Annotated[str, Meta(max_length=1024)]


class SignUpInput(Input):
    """An organization and its first user, who becomes its owner."""

    organization: str
    slug: str
    email: str
    password: Secret
    name: str


class LoginInput(Input):
    """The credentials of a user of the host's organization."""

    email: Annotated[str, Meta(max_length=320)]
    password: Secret


class EnrolInput(Input):
    """The token of a sign-in that asks for a second factor."""

    mfa_token: Secret


class VerifyInput(EnrolInput):
    """And a code of the second factor."""

    code: Annotated[str, Meta(max_length=MAX_CODE)]


class RefreshInput(Input):
    """The refresh token that came last."""

    refresh_token: Secret


class LogoutInput(Input):
    """The refresh token of the session to end; without one it is that of the access token."""

    refresh_token: Secret | None = None


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for `expires_in` seconds, and a refresh token for the next."""

    access_token: str
    refresh_token: str
    token_type: str = "Bearer"  # noqa: S105 – the name of a scheme
    expires_in: int


class LoginAnswer(TokenAnswer, frozen=True, kw_only=True):
    """Tokens, and whose they are; recovery codes where the sign-in made a second factor."""

    user: UserAnswer
    recovery_codes: list[str] | UnsetType = UNSET


class MfaAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The password was right. `enrol` says that a second factor is required and has to be made first."""

    mfa_required: bool = True
    mfa_token: str
    methods: tuple[Method, ...]
    enrol: bool


class SignUpAnswer(LoginAnswer, frozen=True, kw_only=True):
    """Tokens, whose they are, and of what organization."""

    organization: OrganizationAnswer


class SignInController(Controller):
    """Signing up, in and out."""

    path = "/auth"
    tags = ["Sign-in"]  # noqa: RUF012
    security = ANYONE
    cache_control = CacheControlHeader(no_store=True)

    @post("/signup", summary="Make an organization")
    async def sign_up(
        self, request: Request[Any, Any, Any], data: JSONBody[SignUpInput], auth: NamedDependency[Context]
    ) -> SignUpAnswer:
        """Makes an organization with the five roles, and its owner, who is signed in."""
        given = organizations.SignUp(**msgspec.structs.asdict(data))
        organization, user, tokens = await organizations.sign_up(auth, given, client_of(request))
        told = await users.named(auth, organization.id, user)
        return SignUpAnswer(
            **_told(tokens),
            user=user_answer(user, told.catalogue),
            organization=organization_answer(organization),
        )

    @post("/login", summary="Sign in", status_code=200)
    async def login(
        self, request: Request[Any, Any, Any], data: JSONBody[LoginInput], auth: NamedDependency[Context]
    ) -> LoginAnswer | MfaAnswer:
        """Signs a user of the host's organization in, or asks for a second factor.

        Wrong address and wrong password are the same.
        """
        tenant_id = tenant_of(request)
        entered = await sign_in.login(auth, tenant_id, data.email, data.password, client_of(request))
        return await signed_in(auth, tenant_id, entered)

    @post("/mfa/enroll", summary="Make the second factor that signing in requires", status_code=200)
    async def enrol(
        self, request: Request[Any, Any, Any], data: JSONBody[EnrolInput], auth: NamedDependency[Context]
    ) -> Enrolment:
        """For who must have a second factor and has none: its secret. The first code from it ends the sign-in."""
        _challenged(request, data.mfa_token)
        return await sign_in.enrol(auth, data.mfa_token)

    @post("/mfa/verify", summary="Sign in with the second factor", status_code=200)
    async def verify(
        self, request: Request[Any, Any, Any], data: JSONBody[VerifyInput], auth: NamedDependency[Context]
    ) -> LoginAnswer:
        """Ends a sign-in with a code of the authenticator, or a recovery code, which is used up by it."""
        tenant_id = _challenged(request, data.mfa_token)
        entered = await sign_in.verify(auth, data.mfa_token, data.code, client_of(request))
        answer = await signed_in(auth, tenant_id, entered)
        assert isinstance(answer, LoginAnswer)
        return answer

    @post("/refresh", summary="Get new tokens", status_code=200)
    async def refresh(
        self, request: Request[Any, Any, Any], data: JSONBody[RefreshInput], auth: NamedDependency[Context]
    ) -> TokenAnswer:
        """Rotates the refresh token. One that was used more than ten seconds ago ends the session."""
        _agree(request, data.refresh_token)
        _, tokens = await sessions.refresh(auth, data.refresh_token, client_of(request))
        return TokenAnswer(**_told(tokens))

    @post("/logout", summary="Sign out", status_code=204)
    async def logout(
        self,
        request: Request[Any, Any, Any],
        auth: NamedDependency[Context],
        platform: NamedDependency[Platform],
        data: JSONBody[LogoutInput | None] = None,
    ) -> None:
        """Ends the session of the refresh token in the body, or else of the access token."""
        if data is not None and data.refresh_token is not None:
            _agree(request, data.refresh_token)
            await sessions.leave(auth, data.refresh_token)
            return
        principal = await platform.verifier.verify(bearer(request.headers.get("authorization")))
        await sessions.leave_as(auth, principal)


async def signed_in(auth: Context, tenant_id: UUID, it: SignedIn | Challenge) -> LoginAnswer | MfaAnswer:
    """The answer to one who has proven a first factor."""
    if isinstance(it, Challenge):
        return MfaAnswer(**msgspec.structs.asdict(it))
    if it.roles is None:
        user = user_answer(it.user, (await users.named(auth, tenant_id, it.user)).catalogue)
    else:
        user = named_user(it.user, list(it.roles))
    return LoginAnswer(**_told(it.tokens), user=user, recovery_codes=it.recovery_codes or UNSET)


def tenant_of(request: Request[Any, Any, Any]) -> UUID:
    """The tenant of the host."""
    return parse_id(anonymous_tenant(request))


def _agree(request: Request[Any, Any, Any], token: str) -> None:
    """A token in the body is good at its own tenant's host only, as one in a header is."""
    if not _is_of_host(request, read_refresh_token(token)[0]):
        raise Forbidden("The token belongs to another organization than the host.", code="tenant-mismatch")


def _challenged(request: Request[Any, Any, Any], token: str) -> UUID:
    """The tenant of a sign-in that is half done; at another's host it is not good, like any that is not."""
    tenant_id, _ = second_factors.read_challenge(token)
    if not _is_of_host(request, tenant_id):
        raise second_factors.bad_challenge()
    return tenant_id


def _is_of_host(request: Request[Any, Any, Any], tenant_id: UUID) -> bool:
    """Whether the host is of a tenant, or of none."""
    host = request.headers.get("x-millrace-tenant")
    return not host or parse_id(host) == tenant_id


def _told(tokens: Tokens) -> dict[str, Any]:
    return msgspec.structs.asdict(tokens)
