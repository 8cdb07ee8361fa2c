"""The signing keys and their rotation.

A key is published as `next` for a whole period before it signs, and as `retired` for as long as its tokens live, so
that no verifier ever meets a token whose key it cannot know.
"""

import time
from datetime import timedelta

from libs.common import clock, outbox
from libs.common.errors import Unavailable
from libs.common.ids import NIL
from libs.common.postgres import Connection, Database
from services.auth.domain import events
from services.auth.domain.keys import Jwk, Signer, Vault, jwk
from services.auth.storage import keys
from services.auth.storage.keys import KeyRow

FRESH_SECONDS = 30.0


class KeyRing:
    """The keys as this instance knows them, read anew every half minute and when another instance rotated them."""

    def __init__(self, database: Database, secret: str, token_life: timedelta) -> None:
        self._database = database
        self._vault = Vault(secret)
        # Another instance may sign with a key for as long as it takes it to learn of the rotation.
        self._overlap = token_life + timedelta(seconds=2 * FRESH_SECONDS)
        self._known: list[KeyRow] = []
        self._signer: Signer | None = None
        self._until = float("-inf")

    async def jwks(self) -> list[Jwk]:
        """The public keys that verifiers should know."""
        await self._refresh()
        return [jwk(key.kid, key.public_key) for key in self._known]

    async def history(self) -> list[Jwk]:
        """The public keys that have ever signed, for documents that outlive them; no token is verified by these."""
        async with self._database.system() as connection:
            return [jwk(key.kid, key.public_key) for key in await keys.signed(connection)]

    async def signer(self) -> Signer:
        """What signs tokens now."""
        await self._refresh()
        active = next(key for key in self._known if key.state == "active")
        if self._signer is None or self._signer.kid != active.kid:
            assert active.private_key is not None
            self._signer = Signer(active.kid, self._vault.open(active.kid, active.private_key))
        return self._signer

    async def rotate(self) -> str:
        """The next key signs from now on, and another becomes the next; returns the id of the one that signs."""
        async with self._database.tenant(NIL) as connection:
            await keys.lock(connection)
            await self._ensure(connection)
            kid = await keys.advance(connection)
            await keys.insert(connection, "next", self._vault.make())
            await outbox.record(connection, NIL, [events.key_rotated(kid)])
        self.forget()
        return kid

    async def reseal(self) -> tuple[int, int]:
        """Seals private keys anew that an older secret has sealed: how many were, and how many cannot be opened."""
        resealed = unreadable = 0
        async with self._database.system() as connection:
            await keys.lock(connection)
            for key in await self._published(connection):
                if key.private_key is None:
                    continue
                try:
                    sealed = self._vault.reseal(key.kid, key.private_key)
                except Unavailable:
                    unreadable += 1
                    continue
                if sealed is not None:
                    await keys.put_private_key(connection, key.kid, sealed)
                    resealed += 1
        return resealed, unreadable

    def forget(self) -> None:
        """Reads the keys anew when they are needed next."""
        self._until = float("-inf")

    async def _refresh(self) -> None:
        if self._until > time.monotonic():
            return
        async with self._database.system() as connection:
            known = await self._published(connection)
            if not _complete(known):
                await keys.lock(connection)
                known = await self._ensure(connection)
        self._known = known
        self._until = time.monotonic() + FRESH_SECONDS

    async def _ensure(self, connection: Connection) -> list[KeyRow]:
        for state in ("active", "next"):
            known = await self._published(connection)
            if all(key.state != state for key in known):
                await keys.insert(connection, "active" if state == "active" else "next", self._vault.make())
        return await self._published(connection)

    async def _published(self, connection: Connection) -> list[KeyRow]:
        return await keys.published(connection, clock.now() - self._overlap)


def _complete(known: list[KeyRow]) -> bool:
    return {"active", "next"} <= {key.state for key in known}
