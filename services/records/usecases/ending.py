"""What a tenant that is gone leaves outside of tables: the objects of its files, imports and exports."""

from uuid import UUID

from libs.common.postgres import Connection
from services.records.storage import jobs
from services.records.storage.objects import ObjectStore
from services.records.usecases import exports
from services.records.usecases.files import Pruner

AT_ONCE = 200


class Ending:
    """Takes objects away before the rows that name them go."""

    def __init__(self, pruner: Pruner, objects: ObjectStore) -> None:
        self._pruner = pruner
        self._objects = objects

    async def purge(self, connection: Connection, tenant_id: UUID) -> bool:
        """Takes away some objects of a tenant; whether there were any."""
        if await self._pruner.purge(connection, tenant_id):
            return True
        found = await jobs.take(connection, tenant_id, AT_ONCE)
        keys = [given for _, given in found if given is not None]
        keys += [exports.object_key(tenant_id, job_id) for job_id, given in found if given is None]
        if keys:
            await self._objects.delete(keys)
        return bool(found)
