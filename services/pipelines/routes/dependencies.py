from typing import Annotated, TypeAlias

from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter

from libs.common.app import Platform
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.pipelines.domain.caller import Caller

IfMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Match")]
IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]


async def _caller(
    principal: NamedDependency[Principal],
    permissions: NamedDependency[Permissions],
    platform: NamedDependency[Platform],
) -> Caller:
    return Caller(principal, permissions, await platform.plans.of(principal.tenant_id))


CALLER = {"caller": Provide(_caller)}
