"""`/passkeys`, and signing in by one."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from libs.common.clock import rfc3339
from libs.common.errors import Fault, Invalid
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Page
from services.auth.domain import passkeys as rules
from services.auth.domain.passkeys import Passkey, Place
from services.auth.routes.shapes import ANYONE, client_of, origin_of
from services.auth.routes.sign_in import LoginAnswer, MfaAnswer, Secret, signed_in, tenant_of
from services.auth.usecases import passkeys
from services.auth.usecases.context import Context
from services.auth.usecases.passkeys import Asked


class AnswerInput(Input):
    """The token of a challenge, and what the browser's authenticator answered, as JSON (`credential.toJSON()`)."""

    token: Secret
    credential: dict[str, Any]


class RegistrationInput(AnswerInput):
    """And what the passkey is to be called."""

    name: str = "Passkey"


class PasskeyPatch(Input):
    """A passkey's new name."""

    name: str


class AskedAnswer(msgspec.Struct, frozen=True):
    """`options` go to the browser's `navigator.credentials` as they are; `token` comes back with its answer."""

    token: str
    options: dict[str, Any]


class PasskeyAnswer(msgspec.Struct, frozen=True):
    """A passkey, good at `host`; `synced` when the authenticator keeps copies on other devices."""

    id: UUID
    name: str
    host: str
    synced: bool
    created_at: str
    last_used_at: str | None


class PasskeysController(Controller):
    """One's own passkeys."""

    path = "/passkeys"
    tags = ["Passkeys"]  # noqa: RUF012

    @get(summary="List my passkeys")
    async def listed(
        self, auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> Page[PasskeyAnswer]:
        """At most 50."""
        return Page([_answer(it) for it in await passkeys.listed(auth, principal)], None)

    @post("/options", summary="Begin to make a passkey", status_code=200)
    async def options(
        self, request: Request[Any, Any, Any], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> AskedAnswer:
        """Options for `navigator.credentials.create()`, good for five minutes."""
        return _asked(await passkeys.begin_registration(auth, principal, _place(request)))

    @post(summary="Make a passkey")
    async def register(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[RegistrationInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
    ) -> PasskeyAnswer:
        """Keeps the passkey that answered the challenge."""
        at = _place(request)
        return _answer(await passkeys.register(auth, principal, at, data.token, data.credential, data.name))

    @patch("/{passkey_id:str}", summary="Rename a passkey")
    async def rename(
        self,
        passkey_id: FromPath[str],
        data: JSONBody[PasskeyPatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
    ) -> PasskeyAnswer:
        """Gives one of one's passkeys another name."""
        return _answer(await passkeys.rename(auth, principal, parse_id(passkey_id), data.name))

    @delete("/{passkey_id:str}", summary="Remove a passkey")
    async def remove(
        self, passkey_id: FromPath[str], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> None:
        """It signs in no more; sessions that it began go on."""
        await passkeys.delete(auth, principal, parse_id(passkey_id))


class PasskeySignInController(Controller):
    """Signing in by a passkey, without a password."""

    path = "/auth/passkeys"
    tags = ["Sign-in"]  # noqa: RUF012
    security = ANYONE
    cache_control = CacheControlHeader(no_store=True)

    @post("/options", summary="Begin to sign in by a passkey", status_code=200)
    async def options(self, request: Request[Any, Any, Any], auth: NamedDependency[Context]) -> AskedAnswer:
        """Options for `navigator.credentials.get()`, the same for everyone."""
        return _asked(await passkeys.begin_sign_in(auth, tenant_of(request), _place(request)))

    @post("/verify", summary="Sign in by a passkey", status_code=200)
    async def verify(
        self, request: Request[Any, Any, Any], data: JSONBody[AnswerInput], auth: NamedDependency[Context]
    ) -> LoginAnswer | MfaAnswer:
        """The authenticator has verified its user, so no second factor is asked for."""
        at, client = _place(request), client_of(request)
        tenant_id, entered = await passkeys.finish_sign_in(auth, at, data.token, data.credential, client)
        return await signed_in(auth, tenant_id, entered)


def _place(request: Request[Any, Any, Any]) -> Place:
    at = rules.place(origin_of(request))
    if not at.rp_id or at.rp_id[-1].isdigit() or ":" in at.rp_id:
        raise Invalid(errors=[Fault("/host", "not_a_domain", "Passkeys are bound to a host name, not to an address")])
    return at


def _asked(it: Asked) -> AskedAnswer:
    return AskedAnswer(it.token, msgspec.json.decode(it.options))


def _answer(it: Passkey) -> PasskeyAnswer:
    used = rfc3339(it.last_used_at) if it.last_used_at else None
    return PasskeyAnswer(it.id, it.name, it.rp_id, it.synced, rfc3339(it.created_at), used)
