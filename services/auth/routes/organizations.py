"""`/organizations/current`: the organization of the one who asks."""

from typing import Any

import msgspec
from litestar import Controller, Request, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.auth.routes.shapes import OrganizationAnswer, client_of, organization_answer
from services.auth.usecases import organizations
from services.auth.usecases.context import Context


class BrandingPatch(Input):
    """Colours as `#rrggbb` and the address of a logo; null takes one away."""

    primary_color: str | UnsetType | None = UNSET
    accent_color: str | UnsetType | None = UNSET
    logo_url: str | UnsetType | None = UNSET


class SecurityPatch(Input):
    """What the organization asks of sign-ins. It takes the right to manage the organization.

    Sessions end after `session_hours`; `ip_allow_list` has networks such as `198.51.100.0/24`, none for all.
    """

    mfa_required: bool | UnsetType = UNSET
    session_hours: int | UnsetType | None = UNSET
    password_min_length: int | UnsetType | None = UNSET
    ip_allow_list: tuple[str, ...] | UnsetType = UNSET


class OrganizationPatch(Input):
    """A merge patch (RFC 7396) of an organization."""

    name: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    branding: BrandingPatch | UnsetType = UNSET
    security: SecurityPatch | UnsetType = UNSET


class OrganizationsController(Controller):
    """The organization of the one who asks."""

    path = "/organizations"
    tags = ["Organization"]  # noqa: RUF012

    @get("/current", summary="Get my organization")
    async def one(self, auth: NamedDependency[Context], principal: NamedDependency[Principal]) -> OrganizationAnswer:
        """Name, domains, language, time zone and look."""
        return organization_answer(await organizations.get(auth, principal.tenant_id))

    @patch("/current", summary="Change my organization")
    async def change(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[OrganizationPatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> OrganizationAnswer:
        """Changes what is given."""
        given = organizations.Change(
            name=None if data.name is UNSET else data.name,
            locale=None if data.locale is UNSET else data.locale,
            time_zone=None if data.time_zone is UNSET else data.time_zone,
            branding={} if data.branding is UNSET else _given(data.branding),
            security={} if data.security is UNSET else _given(data.security),
        )
        return organization_answer(
            await organizations.change(auth, principal, permissions, given, client_of(request).address)
        )


def _given(patch: Input) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
