"""What people do by links that were mailed to them, without being signed in."""

from typing import Annotated, Any

from litestar import Controller, Request, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from libs.common.http import Input
from services.auth.routes.shapes import ANYONE, client_of
from services.auth.routes.sign_in import LoginAnswer, MfaAnswer, Secret, signed_in, tenant_of
from services.auth.usecases import mailed
from services.auth.usecases.context import Context


class TokenInput(Input):
    """The token of a link."""

    token: Secret


class AcceptInput(TokenInput):
    """The token of an invitation, the password to sign in with from now on, and another name if one likes."""

    password: Secret
    name: str | None = None


class ForgotInput(Input):
    """The address of a user of the host's organization."""

    email: Annotated[str, Meta(max_length=320)]


class ResetInput(TokenInput):
    """The token of a link, and the password to have from now on."""

    password: Secret


class MailedController(Controller):
    """What people do by links that were mailed to them."""

    path = "/auth"
    tags = ["Sign-in"]  # noqa: RUF012
    security = ANYONE
    cache_control = CacheControlHeader(no_store=True)

    @post("/invitations/accept", summary="Join by an invitation", status_code=200)
    async def accept(
        self, request: Request[Any, Any, Any], data: JSONBody[AcceptInput], auth: NamedDependency[Context]
    ) -> LoginAnswer | MfaAnswer:
        """Sets the password and signs in, or asks for a second factor where the organization requires one."""
        client = client_of(request)
        tenant_id, entered = await mailed.accept(auth, data.token, data.password, data.name, client)
        return await signed_in(auth, tenant_id, entered)

    @post("/password/forgot", summary="Ask for a link to choose another password", status_code=202)
    async def forgot(
        self, request: Request[Any, Any, Any], data: JSONBody[ForgotInput], auth: NamedDependency[Context]
    ) -> None:
        """The answer is the same whether or not there is such a user, and at most one mail a minute is sent."""
        auth.post.soon(mailed.forgot(auth, tenant_of(request), data.email))

    @post("/password/reset", summary="Choose another password", status_code=204)
    async def reset(self, data: JSONBody[ResetInput], auth: NamedDependency[Context]) -> None:
        """By the token of a link, which is good once. All sessions of the user end."""
        await mailed.reset(auth, data.token, data.password)

    @post("/email/verify", summary="Confirm an address", status_code=204)
    async def verify(self, data: JSONBody[TokenInput], auth: NamedDependency[Context]) -> None:
        """By the token of a link, which is good once."""
        await mailed.verify(auth, data.token)
