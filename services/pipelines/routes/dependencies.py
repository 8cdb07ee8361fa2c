from typing import Annotated, TypeAlias

from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter

from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.pipelines.domain.caller import Caller

IfMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Match")]
IfNoneMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-None-Match")]


def _caller(principal: NamedDependency[Principal], permissions: NamedDependency[Permissions]) -> Caller:
    return Caller(principal, permissions)


CALLER = {"caller": Provide(_caller, sync_to_thread=False)}
