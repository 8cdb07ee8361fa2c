"""What realtime asks for sockets that lock fields."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import msgspec

from libs.common.app import Platform
from services.records.usecases import locks
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.locks import MAX_LOCKS, Granted, Held, Seconds, Wanted

Some = Annotated[list[Held], msgspec.Meta(max_length=MAX_LOCKS)]


class LockQuestion(Wanted, frozen=True, kw_only=True):
    """A field that a connection of the token's principal wants."""

    token: str


class RenewQuestion(msgspec.Struct, frozen=True):
    """Locks of a node's connections that are to be kept."""

    tenant_id: UUID
    locks: Some
    seconds: Seconds


class UnlockQuestion(msgspec.Struct, frozen=True):
    """Locks that are let go."""

    tenant_id: UUID
    locks: Some


class Tokens(msgspec.Struct, frozen=True):
    """The tokens that were held."""

    tokens: list[int]


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.lock`, `renew_locks` and `unlock`."""
    platform.bus.serve("rpc.records.lock", LockQuestion, _lock(platform, catalog))

    async def renew(question: RenewQuestion) -> Tokens:
        return Tokens(await locks.renew(platform.database, question.tenant_id, question.locks, question.seconds))

    async def unlock(question: UnlockQuestion) -> Tokens:
        return Tokens(await locks.release(platform.database, question.tenant_id, question.locks))

    platform.bus.serve("rpc.records.renew_locks", RenewQuestion, renew)
    platform.bus.serve("rpc.records.unlock", UnlockQuestion, unlock)


def _lock(platform: Platform, catalog: Catalog) -> Callable[[LockQuestion], Awaitable[Granted]]:
    async def answer(question: LockQuestion) -> Granted:
        principal, permissions = await platform.authenticate(question.token)
        return await locks.lock(Caller(principal, permissions, catalog, platform.database), question)

    return answer
