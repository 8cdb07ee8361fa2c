"""`/mfa`: the second factor of the one who asks."""

from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import Meta

from libs.common.clock import rfc3339
from libs.common.http import Input
from libs.common.identity import Principal
from services.auth.domain.second_factors import MAX_CODE, Enrolment
from services.auth.usecases import second_factors
from services.auth.usecases.context import Context


class CodeInput(Input):
    """A code of the authenticator, or, but to confirm, a recovery code."""

    code: Annotated[str, Meta(max_length=MAX_CODE)]


class StateAnswer(msgspec.Struct, frozen=True):
    """`required` says that the organization asks for a second factor."""

    enabled: bool
    confirmed_at: str | None
    recovery_codes_left: int
    required: bool


class RecoveryCodesAnswer(msgspec.Struct, frozen=True):
    """Codes for when the device is lost, each good once. They are told now and never again."""

    recovery_codes: list[str]


class SecondFactorsController(Controller):
    """The second factor of the one who asks."""

    path = "/mfa"
    tags = ["Second factor"]  # noqa: RUF012
    cache_control = CacheControlHeader(no_store=True)

    @get(summary="My second factor")
    async def state(self, auth: NamedDependency[Context], principal: NamedDependency[Principal]) -> StateAnswer:
        """Whether there is one, and whether there must be."""
        it = await second_factors.state(auth, principal)
        since = rfc3339(it.confirmed_at) if it.confirmed_at else None
        return StateAnswer(it.confirmed_at is not None, since, it.recovery_codes_left, it.required)

    @post("/totp", summary="Make a second factor")
    async def enrol(self, auth: NamedDependency[Context], principal: NamedDependency[Principal]) -> Enrolment:
        """A secret for an authenticator app. It counts when a first code confirms it."""
        return await second_factors.enrol(auth, principal)

    @post("/totp/confirm", summary="Confirm my second factor", status_code=200)
    async def confirm(
        self, data: JSONBody[CodeInput], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> RecoveryCodesAnswer:
        """From now on signing in takes a code. One's other sessions end."""
        return RecoveryCodesAnswer(await second_factors.confirm(auth, principal, data.code))

    @post("/recovery-codes", summary="Get other recovery codes", status_code=200)
    async def recovery_codes(
        self, data: JSONBody[CodeInput], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> RecoveryCodesAnswer:
        """The codes from before are worth nothing from now on."""
        return RecoveryCodesAnswer(await second_factors.recovery_codes(auth, principal, data.code))

    @delete("/totp", summary="Remove my second factor")
    async def remove(
        self, data: JSONBody[CodeInput], auth: NamedDependency[Context], principal: NamedDependency[Principal]
    ) -> None:
        """Takes a code of it, and is refused where the organization requires a second factor."""
        await second_factors.remove(auth, principal, data.code)
