"""Sealing anew, with the first line of `SEALING_SECRET`, what older ones have sealed: the secrets of webhooks."""

from libs.common.postgres import Database
from libs.common.sealing import After, Resealed, Seal, anew
from services.realtime.storage import webhooks
from services.realtime.usecases.sending import RELAY

BATCH = 200
PURPOSE = "webhook secrets"


async def step(database: Database, secret: str, after: After) -> Resealed:
    """One batch of the webhooks of all tenants, beside whatever else happens to them."""
    seal = Seal(secret, PURPOSE, "SEALING_SECRET")
    async with database.relay(RELAY) as connection:
        found = await webhooks.sealed(connection, (after.tenant_id, after.id), BATCH)
        changed, unreadable = anew(seal, found)
        await webhooks.put_sealed(connection, changed)
    following = After(0, found[-1].tenant_id, found[-1].id) if len(found) == BATCH else None
    return Resealed(len(changed), unreadable, seal.mark, following)
