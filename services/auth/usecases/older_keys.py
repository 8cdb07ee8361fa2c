"""Keys of hashes that cannot be made anew: recovery codes, and the audit log with the names in it.

What an older line of `SIGNING_KEY_SECRET` has hashed is known only by the key of that line. Sealing anew keeps these
keys, sealed with the newest line; so the old line can go, and what it has hashed is known all the same.
"""

from collections.abc import Mapping

from libs.common.errors import Unavailable
from libs.common.ids import new_id
from libs.common.postgres import Connection, Database
from libs.common.sealing import Seal
from services.auth.storage import keys, older_keys
from services.auth.storage.older_keys import OlderKey


class OlderKeys:
    """The keys for each purpose whose hashes outlive a secret."""

    def __init__(self, database: Database, secret: str, seals: Mapping[str, Seal]) -> None:
        self._database = database
        self._seal = Seal(secret, "older keys")
        self._seals = seals
        self._known = False

    async def learn(self, connection: Connection) -> None:
        """Lets the seals know by the keys that are kept; asked once, before anything is known by its hash.

        Once is enough: whoever runs while keys are kept has the line that they came from.
        """
        if self._known:
            return
        for key in await older_keys.every(connection):
            if (plain := self._opened(key)) is not None and key.purpose in self._seals:
                self._seals[key.purpose].remember(plain)
        self._known = True

    async def keep(self) -> tuple[int, int]:
        """Keeps the keys of older lines, and seals anew those kept: how many, and how many cannot be opened."""
        kept = unreadable = 0
        there: set[tuple[str, bytes]] = set()
        async with self._database.system() as connection:
            await keys.lock(connection)
            for key in await older_keys.every(connection):
                if (plain := self._opened(key)) is None:
                    unreadable += 1
                    continue
                there.add((key.purpose, plain))
                if (secret := self._seal.reseal(key.secret, key.id.bytes)) is not None:
                    await older_keys.put(connection, key.id, secret)
                    kept += 1
            for purpose, plain in self._older() - there:
                id_ = new_id()
                await older_keys.insert(connection, OlderKey(id_, purpose, self._seal.close(plain, id_.bytes)))
                kept += 1
        return kept, unreadable

    def _older(self) -> set[tuple[str, bytes]]:
        return {(purpose, key) for purpose, seal in self._seals.items() for key in seal.older}

    def _opened(self, key: OlderKey) -> bytes | None:
        try:
            return self._seal.open(key.secret, key.id.bytes)
        except Unavailable:
            return None
