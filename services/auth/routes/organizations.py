"""`/organizations/current`: the organization of the one who asks."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET, Meta, UnsetType

from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.auth.domain.second_factors import MAX_CODE
from services.auth.routes.shapes import OrganizationAnswer, client_of, organization_answer
from services.auth.usecases import deletions, organizations
from services.auth.usecases.context import Context
from services.auth.usecases.freshness import Proof


class BrandingPatch(Input):
    """Colours as `#rrggbb` and the address of a logo; null takes one away."""

    primary_color: str | UnsetType | None = UNSET
    accent_color: str | UnsetType | None = UNSET
    logo_url: str | UnsetType | None = UNSET


class SecurityPatch(Input):
    """What the organization asks of sign-ins. It takes the right to manage the organization.

    Sessions end after `session_hours`; `ip_allow_list` has networks such as `198.51.100.0/24`, none for all. With
    `require_if_match` records are changed only by who names their version. What is in the trash for `trash_days`
    goes for good; 0 keeps it for ever.
    """

    mfa_required: bool | UnsetType = UNSET
    session_hours: int | UnsetType | None = UNSET
    password_min_length: int | UnsetType | None = UNSET
    require_if_match: bool | UnsetType = UNSET
    ip_allow_list: tuple[str, ...] | UnsetType = UNSET
    impersonation: bool | UnsetType = UNSET
    trash_days: int | UnsetType = UNSET


class OrganizationPatch(Input):
    """A merge patch (RFC 7396) of an organization."""

    name: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    branding: BrandingPatch | UnsetType = UNSET
    security: SecurityPatch | UnsetType = UNSET


class ProofInput(Input):
    """The password, or a code of the second factor; neither is needed right after signing in."""

    password: Annotated[str, Meta(max_length=1024)] | None = None
    code: Annotated[str, Meta(max_length=MAX_CODE)] | None = None


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

    @delete("/current", summary="Delete my organization", status_code=202)
    async def end(
        self,
        request: Request[Any, Any, Any],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        data: JSONBody[ProofInput | None] = None,
    ) -> OrganizationAnswer:
        """From now on it serves nobody but owners, who may restore it; at `deletes_at` all that it has goes for good.

        It takes the right to delete the organization, and a proof: the password, a code, or a sign-in just now.
        """
        proof = Proof(data.password, data.code) if data else Proof()
        return organization_answer(await deletions.request(auth, principal, permissions, proof, client_of(request)))

    @post("/current/restore", summary="Keep my organization after all", status_code=200)
    async def restore(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> OrganizationAnswer:
        """Takes its deletion back, while there is time."""
        return organization_answer(await deletions.restore(auth, principal, permissions))


def _given(patch: Input) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
