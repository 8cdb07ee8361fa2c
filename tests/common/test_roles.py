import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from libs.common import events
from libs.common.bus import Bus, Outgoing
from libs.common.errors import Unavailable
from libs.common.events import NewEvent
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Grant, RoleGrants
from libs.common.postgres import Database
from libs.common.roles import HINTS, RoleStore
from tests.support.issuer import Issuer, issuing
from tests.support.waiting import eventually

TENANT = new_id()
READ = Grant("records", ("read",))
ALL = Grant("*", ("*",))


def principal(*roles: UUID, tenant: UUID = TENANT) -> Principal:
    """A user with these roles."""
    return Principal(
        tenant_id=tenant, id=new_id(), kind="user", session_id=new_id(), name="Test", roles=roles,
        issued_at=0, expires_at=0,
    )  # fmt: skip


def role(version: int, *grants: Grant, role_id: UUID | None = None, deleted: bool = False) -> RoleGrants:
    """A role as auth announces it."""
    return RoleGrants(role_id or new_id(), "test", "Test", version, grants, deleted)


async def announce(bus: Bus, told: RoleGrants, tenant: UUID = TENANT) -> None:
    """Tell of a role as auth does."""
    verb = "deleted" if told.deleted else "updated"
    event_id, subject, payload = events.encode(tenant, NewEvent(f"auth.role.{verb}", told.id, told))
    await bus.publish([Outgoing(subject, payload.encode(), str(event_id))])


@pytest.fixture
async def issuer(nats_url: str) -> AsyncIterator[Issuer]:
    """Who answers for auth."""
    async with issuing(nats_url) as found:
        yield found


@pytest.fixture
async def store(bus: Bus, db: Database) -> RoleStore:
    """A service's store, following."""
    found = RoleStore("pipelines", db, bus)
    found.start()
    return found


async def kept(db: Database, tenant: UUID = TENANT) -> int:
    """How many roles stand in the service's own table."""
    async with db.tenant(tenant) as connection:
        number: int = await connection.fetchval("select count(*) from role_grants")
    return number


async def stored(db: Database, bus: Bus, told: RoleGrants) -> None:
    """Tell of a role and return when the service's table has it."""
    await announce(bus, told)

    async def there() -> bool:
        return await kept(db) == 1

    await eventually(there)


async def may(store: RoleStore, who: Principal, action: str) -> bool:
    """Whether a principal may do something to records."""
    return (await store.permissions(who)).allow(action, "records")


async def test_an_unknown_role_is_asked_for(store: RoleStore, issuer: Issuer) -> None:
    """Auth answers once; from then on the role is in memory."""
    who = principal(issuer.role(TENANT, [READ]))
    assert await may(store, who, "read")
    issuer.roles.clear()
    assert store.cached(who) is not None
    assert not await may(store, who, "delete")


async def test_a_role_that_nobody_knows_gives_nothing(store: RoleStore, issuer: Issuer) -> None:
    """Neither a role that does not exist nor one of another tenant allows anything."""
    assert not await may(store, principal(new_id()), "read")
    assert not await may(store, principal(issuer.role(new_id(), [ALL])), "read")
    assert not await may(store, principal(), "read")


async def test_a_hint_is_heard_before_the_stream(store: RoleStore, bus: Bus, issuer: Issuer) -> None:
    """What auth tells of a role before it answers is taken in, unless something newer is known."""
    role_id = issuer.role(TENANT, [READ])
    who = principal(role_id)
    assert not await may(store, who, "delete")
    for version, grant in ((2, ALL), (1, READ)):
        told = NewEvent("auth.role.updated", role_id, role(version, grant, role_id=role_id))
        await bus.hint(HINTS, [events.encode(TENANT, told)[2].encode()])

        async def heard() -> bool:
            return await may(store, who, "delete")

        await eventually(heard)


async def test_several_roles_are_united(store: RoleStore, issuer: Issuer) -> None:
    """What any of the roles allows is allowed."""
    who = principal(issuer.role(TENANT, [READ]), issuer.role(TENANT, [Grant("records", ("delete",))]))
    assert [await may(store, who, action) for action in ("read", "delete", "update")] == [True, True, False]


async def test_a_stored_role_needs_no_auth(store: RoleStore, bus: Bus, db: Database) -> None:
    """A process that starts while auth is away knows the roles that were announced; of others it says 503."""
    told = role(1, READ)
    await stored(db, bus, told)
    fresh = RoleStore("pipelines", db, bus)
    assert await may(fresh, principal(told.id), "read")
    with pytest.raises(Unavailable):
        await may(fresh, principal(new_id()), "read")


async def test_a_change_reaches_all_within_a_second(bus: Bus, nats_url: str, db: Database, issuer: Issuer) -> None:
    """Three instances that had the role in memory follow its change, and its deletion."""
    role_id = issuer.role(TENANT, [READ])
    who = principal(role_id)
    buses = [Bus(nats_url, f"instance {i}") for i in range(3)]
    stores = [RoleStore("pipelines", db, one) for one in buses]
    for one, store in zip(buses, stores, strict=True):
        await one.start()
        store.start()
        await one.ready()
        assert await may(store, who, "read")
    version = 1

    async def all_say(expected: tuple[bool, bool]) -> bool:
        return [(await may(s, who, "read"), await may(s, who, "delete")) for s in stores] == [expected] * 3

    # The first one shows that all of them are listening.
    async def listening() -> bool:
        nonlocal version
        version += 1
        await announce(bus, role(version, READ, ALL, role_id=role_id))
        return await all_say((True, True))

    await eventually(listening)
    for told, expected in (
        (role(version + 1, READ, role_id=role_id), (True, False)),
        (role(version + 2, ALL, role_id=role_id), (True, True)),
        (role(version + 3, READ, role_id=role_id, deleted=True), (False, False)),
    ):
        await announce(bus, told)
        await eventually(lambda expected=expected: all_say(expected))  # type: ignore[misc]
    for one in buses:
        await one.stop()


async def test_an_old_version_does_not_come_back(store: RoleStore, bus: Bus, db: Database) -> None:
    """An event that arrives late, or again, changes neither memory nor the table."""
    role_id = new_id()
    await stored(db, bus, role(5, READ, role_id=role_id))
    await announce(bus, role(4, ALL, role_id=role_id))
    marker = role(1, READ)
    await announce(bus, marker)

    async def passed() -> bool:
        return await kept(db) == 2

    await eventually(passed)
    who = principal(role_id)
    assert not await may(store, who, "delete")
    assert not await may(RoleStore("pipelines", db, bus), who, "delete")


async def test_roles_are_a_tenants_own(store: RoleStore, bus: Bus, db: Database) -> None:
    """The same id announced by another tenant is another role."""
    role_id, other = new_id(), new_id()
    await stored(db, bus, role(1, READ, role_id=role_id))
    await announce(bus, role(9, ALL, role_id=role_id), other)

    async def there() -> bool:
        return await kept(db, other) == 1

    await eventually(there)
    assert not await may(store, principal(role_id), "delete")
    assert await may(store, principal(role_id, tenant=other), "delete")


async def test_what_may_have_been_missed_is_read_again(
    store: RoleStore, bus: Bus, db: Database, issuer: Issuer
) -> None:
    """After a reconnect memory is not trusted, and those who watch a role are told."""
    role_id = issuer.role(TENANT, [ALL])
    who = principal(role_id)
    assert await may(store, who, "delete")
    async with db.tenant(TENANT) as connection:
        await connection.execute("insert into role_grants values ($1, $2, 2, 'test', 'Test', '[]')", TENANT, role_id)
    told: list[tuple[UUID, UUID]] = []
    store.watch(lambda tenant, changed: told.append((tenant, changed)))
    await bus.client._process_op_err(ConnectionResetError())

    async def doubted() -> bool:
        return told == [(TENANT, role_id)]

    await eventually(doubted)
    assert not await may(store, who, "delete")


async def test_many_questions_at_once_are_answered(store: RoleStore, issuer: Issuer) -> None:
    """A hundred requests of a role that is not known yet all get its grants."""
    who = principal(issuer.role(TENANT, [READ]))
    assert await asyncio.gather(*(may(store, who, "read") for _ in range(100))) == [True] * 100
