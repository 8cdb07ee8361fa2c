"""What records asks auth for when it was not heard of, and does not wait for."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.postgres import Database
from services.records.usecases.tenants import Tenant, Tenants
from services.records.usecases.tongues import Tongues
from tests.support.postgres import Database as Clone
from tests.support.waiting import eventually


class Question(msgspec.Struct):
    """Whom auth is asked about."""

    tenant_id: UUID


async def test_a_language_that_is_answered_late_holds_for_the_next_search(bus: Bus) -> None:
    """Who searches while auth hangs goes on without a language; its answer is kept when it comes."""
    asked: list[Any] = []
    answering = asyncio.Event()

    async def locale(question: dict[str, Any]) -> dict[str, str]:
        asked.append(question)
        await answering.wait()
        return {"locale": "de"}

    bus.serve("rpc.auth.locale", dict[str, Any], locale)
    tongues = Tongues(bus)
    someone = Principal(
        tenant_id=new_id(),
        id=new_id(),
        kind="user",
        session_id=new_id(),
        name="Test",
        roles=(),
        issued_at=0,
        expires_at=0,
    )

    async def hanging() -> bool:
        return await tongues.locale(someone) is None and asked != []

    await eventually(hanging)
    answering.set()

    async def known() -> bool:
        return await tongues.locale(someone) == "de"

    await eventually(known)
    before = len(asked)
    assert await known()
    assert len(asked) == before


async def test_a_tenant_that_was_not_heard_of_is_asked_for(database: Clone, bus: Bus) -> None:
    """The days of an organization whose events the stream has no more begin where auth says, and that is kept."""
    asked: list[UUID] = []

    async def tenant(question: Question) -> Tenant:
        asked.append(question.tenant_id)
        return Tenant(question.tenant_id, time_zone="Asia/Tokyo", trash_days=0)

    bus.serve("rpc.auth.tenant", Question, tenant)
    pool = Database(database.dsn("records"))
    await pool.start()
    try:
        ids: list[UUID] = []

        async def answered() -> bool:
            ids.append(new_id())
            return str(await Tenants(pool, bus).zone(ids[-1])) == "Asia/Tokyo"

        await eventually(answered)
        again = Tenants(pool, bus)
        assert [str(await again.zone(ids[-1])) for _ in range(2)] == ["Asia/Tokyo"] * 2
        assert asked.count(ids[-1]) == 1
        async with pool.tenant(ids[-1]) as connection:
            assert await connection.fetchval("select trash_days from tenant_settings") == 0
    finally:
        await pool.stop()
