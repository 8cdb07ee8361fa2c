"""Whether a filter is one of a pipeline as it is now: asked of pipelines before it is refused."""

from libs.common.errors import Invalid
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.domain.definitions import Definition
from services.realtime.domain.sight import compile_sight
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.groups import READ, RECORDS, condition


def check(tree: object, definition: Definition, principal: Principal, permissions: Permissions) -> None:
    """Raises Invalid where the filter does not fit the definition, or names what the principal may not read."""
    grants = permissions.alternatives(READ, RECORDS, definition.id)
    condition(tree, definition, compile_sight(grants, definition, str(principal.id)), str(principal.id))


async def require(
    definitions: Definitions, tree: object, definition: Definition, principal: Principal, permissions: Permissions
) -> None:
    """The same; a field that was made just now, of which no event has told yet, is one."""
    try:
        check(tree, definition, principal, permissions)
    except Invalid:
        newer = await definitions.newer(principal.tenant_id, definition)
        if newer is None:
            raise
        check(tree, newer, principal, permissions)
