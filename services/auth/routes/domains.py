"""`/organizations/current/domains`: the hosts, besides the slug, under which an organization is reached."""

from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.pages import Page
from libs.common.permissions import Permissions
from services.auth.domain.domains import Claim
from services.auth.usecases import domains
from services.auth.usecases.context import Context
from services.auth.usecases.domains import Domains


class DomainInput(Input):
    """A host name such as `crm.example.com`."""

    host: Annotated[str, Meta(max_length=253)]


class RecordAnswer(msgspec.Struct, frozen=True):
    """The record that proves a domain."""

    name: str
    value: str
    type: str = "TXT"


class DomainAnswer(msgspec.Struct, frozen=True):
    """A domain; `record` is what has to be in the DNS where it is not verified yet."""

    host: str
    verified: bool
    record: RecordAnswer | None


class DomainsController(Controller):
    """An organization's own domains. They take the right to manage the organization."""

    path = "/organizations/current/domains"
    tags = ["Organization"]  # noqa: RUF012

    @get(summary="List my organization's domains")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Page[DomainAnswer]:
        """Verified ones first, at most 50."""
        return Page(_answers(await domains.listed(auth, principal, permissions)), None)

    @post(summary="Claim a domain")
    async def claim(
        self,
        data: JSONBody[DomainInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> DomainAnswer:
        """Tells the record that proves it. Claimed again, the record stays the same."""
        return _answers(await domains.claim(auth, principal, permissions, data.host))[0]

    @post("/{host:str}/verify", summary="Verify a domain", status_code=200)
    async def verify(
        self,
        host: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> DomainAnswer:
        """Looks for the record in the DNS; from then on requests to the domain are the organization's."""
        return _answers(await domains.prove(auth, principal, permissions, host))[0]

    @delete("/{host:str}", summary="Give a domain up")
    async def give_up(
        self,
        host: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """Requests to it are nobody's from now on."""
        await domains.give_up(auth, principal, permissions, host)


def _answers(found: Domains) -> list[DomainAnswer]:
    return [*(DomainAnswer(host, True, None) for host in found.proven), *map(_claimed, found.claims)]


def _claimed(it: Claim) -> DomainAnswer:
    return DomainAnswer(it.host, False, RecordAnswer(it.record, it.value))
