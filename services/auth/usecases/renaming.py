"""Roles follow a field to its new name, so that nobody loses sight of it, and no rule falls away."""

from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.filters.renaming import Renaming
from libs.common.postgres import Connection
from services.auth.domain import events
from services.auth.domain import roles as rules
from services.auth.domain.audit import Party
from services.auth.domain.grants import renamed
from services.auth.domain.roles import Role
from services.auth.storage import organizations, roles
from services.auth.usecases.context import Context


async def follow(context: Context, connection: Connection, tenant_id: UUID, by: Party | None, to: Renaming) -> None:
    """Lets grants name fields as they are called now, those for other pipelines where their rules come to them over
    relations; whoever inherits is told of as well.
    """
    await organizations.lock(connection, tenant_id)
    catalogue = await roles.catalogue(connection, tenant_id)
    own = [after for role in catalogue.values() if (after := _renamed(role, to)) != role]
    catalogue |= {role.id: role for role in own}
    now, touched = clock.now(), {heir.id for role in own for heir in rules.heirs(catalogue, role.id)}
    for role_id in sorted(touched):
        before = catalogue[role_id]
        catalogue[role_id] = msgspec.structs.replace(before, version=before.version + 1, updated_at=now)
        await roles.update(connection, tenant_id, catalogue[role_id])
    for role_id in sorted(touched):
        told = rules.announced(catalogue, catalogue[role_id])
        await roles.write_flattened(connection, tenant_id, told)
        await outbox.record(connection, tenant_id, [events.role("updated", told)])
    for role in own:
        details = {"version": catalogue[role.id].version, "pipeline_id": str(to.pipeline_id), "renames": dict(to.names)}
        target = Party("role", role.id, role.name)
        await context.audit.note(connection, tenant_id, "role.updated", by, target, details=details)


def _renamed(role: Role, to: Renaming) -> Role:
    return msgspec.structs.replace(role, grants=tuple(renamed(it, to) for it in role.grants))
