"""Sealing anew, with the first line of `SIGNING_KEY_SECRET`, what older ones have sealed."""

from libs.common.postgres import Database
from libs.common.sealing import START, After, Resealed, Seal, anew
from services.auth.storage import sealed
from services.auth.storage.sealed import Table
from services.auth.usecases.keys import KeyRing
from services.auth.usecases.older_keys import OlderKeys
from services.auth.usecases.post import RELAY

BATCH = 200
PURPOSES: tuple[tuple[Table, str], ...] = (
    ("totp_secrets", "second factors"), ("identity_providers", "identity providers"), ("mails", "mails"),
)  # fmt: skip


class Resealer:
    """Goes through the tables a batch at a time, beside whatever else happens to them."""

    def __init__(self, database: Database, secret: str, keys: KeyRing, older: OlderKeys) -> None:
        self._database = database
        self._keys = keys
        self._older = older
        self._seals = [(table, Seal(secret, purpose)) for table, purpose in PURPOSES]
        self._mark = Seal(secret, "resealing").mark

    async def step(self, after: After) -> Resealed:
        """One batch; the signing keys and those of what was hashed come before the first."""
        if after == START:
            told = [await self._keys.reseal(), await self._older.keep()]
            resealed, unreadable = map(sum, zip(*told, strict=True))
            return Resealed(resealed, unreadable, self._mark, After(1))
        table, seal = self._seals[after.table - 1]
        async with self._database.relay(RELAY) as connection:
            found = await sealed.following(connection, table, (after.tenant_id, after.id), BATCH)
            changed, unreadable = anew(seal, found)
            await sealed.put(connection, table, changed)
        if len(found) == BATCH:
            following: After | None = After(after.table, found[-1].tenant_id, found[-1].id)
        else:
            following = After(after.table + 1) if after.table < len(self._seals) else None
        return Resealed(len(changed), unreadable, self._mark, following)
