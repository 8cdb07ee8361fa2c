import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest

from libs.common import answers, idempotency
from libs.common.errors import Conflict, Unauthenticated
from libs.common.idempotency import Idempotent
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.postgres import Database
from libs.common.transactions import after_commit
from tests.support.postgres import Database as Clone
from tests.support.waiting import eventually

WRITE = "insert into inbox (tenant_id, consumer, event_id) values ($1, $2, $3)"
MAX_BODY = 1000
Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Service:
    """An application that writes a row for each request; whose token is `<tenant>/<principal>`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.calls = 0
        self.told: list[str] = []
        self.ids: list[int | None] = []
        self.status = 201
        self.size = 0
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.within: Callable[[UUID], Awaitable[None]] | None = None
        layer: Any = Idempotent(self.answer, "pipelines", db, self.authenticate, MAX_BODY)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(layer), base_url="http://test", timeout=30)

    async def authenticate(self, token: str) -> tuple[Principal, object]:
        """The principal that a token names."""
        tenant, _, person = token.partition("/")
        if not person:
            raise Unauthenticated
        who, at = UUID(person), UUID(tenant)
        return (
            Principal(tenant_id=at, id=who, kind="user", session_id=who, name="", roles=(), issued_at=0, expires_at=1),
            None,
        )

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Writes a row, and answers with how many calls there were."""
        body = (await receive())["body"]
        self.calls += 1
        number = self.calls
        tenant = UUID(dict(scope["headers"])[b"authorization"].decode().split()[1].partition("/")[0])
        async with self.db.tenant(tenant) as connection:
            self.ids.append(await connection.fetchval("select pg_current_xact_id_if_assigned()"))
            await connection.execute(WRITE, tenant, body.decode() or "none", new_id())
        if self.within is not None:
            await self.within(tenant)
        after_commit(lambda: self.told.append(f"call {number}"))
        self.begun.set()
        await self.gate.wait()
        headers = [(b"content-type", b"text/plain"), (b"etag", b'"7"'), (b"content-length", b"1")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * self.size, "more_body": True})
        await send({"type": "http.response.body", "body": f"call {number}".encode(), "more_body": False})


class Person:
    """A principal of a tenant."""

    def __init__(self, tenant: UUID | None = None) -> None:
        self.tenant = tenant or new_id()
        self.token = f"{self.tenant}/{new_id()}"

    async def post(self, service: Service, body: str = "one", key: str | None = "key", **more: Any) -> httpx.Response:
        """A request with a key."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if key is not None:
            headers["Idempotency-Key"] = key
        return await service.http.request(
            more.pop("method", "POST"), more.pop("path", "/things"), content=body, headers=headers, **more
        )


@pytest.fixture
def service(db: Database) -> Service:
    """A service in one process."""
    return Service(db)


@pytest.fixture
def person() -> Person:
    """Somebody."""
    return Person()


async def effects(admin: Admin) -> int:
    """How many rows were written, by all tenants."""
    found: int = await admin.fetchval("select count(*) from inbox")
    return found


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and kind of a refusal."""
    return response.status_code, response.json()["type"]


async def test_the_first_answer_is_given_again(service: Service, person: Person, admin: Admin) -> None:
    """A second request with the same key and body has status, headers and body of the first, and no effect."""
    first = await person.post(service)
    again = await person.post(service)
    assert (first.status_code, first.text, first.headers["etag"]) == (201, "call 1", '"7"')
    assert (again.status_code, again.text, again.headers["etag"]) == (201, "call 1", '"7"')
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert (service.calls, await effects(admin), service.told) == (1, 1, ["call 1"])


async def test_another_request_with_the_key_is_refused(service: Service, person: Person, admin: Admin) -> None:
    """Another body, query or media type under the same key is 422 and does nothing."""
    await person.post(service)
    for other in (
        await person.post(service, body="two"),
        await person.post(service, params={"a": "1"}),
        await person.post(service, headers={"Content-Type": "application/json"}),
    ):
        assert problem(other) == (422, "/problems/idempotency-key-reused")
    assert await effects(admin) == 1


async def test_a_key_belongs_to_its_principal_method_and_path(service: Service, person: Person, admin: Admin) -> None:
    """Another tenant, another person of the tenant, another method and another path with one key are other requests."""
    answers = [
        await person.post(service),
        await Person().post(service),
        await Person(person.tenant).post(service),
        await person.post(service, method="PATCH"),
        await person.post(service, path="/others"),
    ]
    assert [answer.text for answer in answers] == [f"call {number}" for number in range(1, 6)]
    assert await effects(admin) == 5


async def test_what_has_no_key_passes(service: Service, person: Person, admin: Admin) -> None:
    """Without the header, without a token, in signing in, and by another method each request has its own effect."""
    answers = [
        await person.post(service, key=None),
        await person.post(service, method="PUT"),
        await person.post(service, path="/api/v1/auth/refresh"),
        await person.post(service, method="DELETE"),
    ]
    assert [answer.text for answer in answers] == [f"call {number}" for number in range(1, 5)]
    assert await admin.fetchval("select count(*) from idempotency") == 0


@pytest.mark.parametrize("key", ["", "  ", "k" * 256])
async def test_a_key_has_a_length(service: Service, person: Person, key: str) -> None:
    """An empty key and one of more than 255 characters are 400."""
    assert problem(await person.post(service, key=key)) == (400, "/problems/invalid-idempotency-key")
    assert (await person.post(service, key="k" * 255)).status_code == 201


async def test_a_token_is_needed(service: Service) -> None:
    """A key with a bad token is 401 and reaches nothing."""
    headers = {"Authorization": "Bearer nobody", "Idempotency-Key": "key"}
    assert problem(await service.http.post("/things", headers=headers)) == (401, "/problems/unauthenticated")
    assert service.calls == 0


@pytest.mark.parametrize("status", [400, 409, 500, 503])
async def test_a_failure_leaves_nothing(service: Service, person: Person, admin: Admin, status: int) -> None:
    """What is not answered with success is rolled back and not kept, so the key may be used again."""
    service.status = status
    assert (await person.post(service)).status_code == status
    assert (await effects(admin), service.told) == (0, [])
    service.status = 201
    assert (await person.post(service, body="corrected")).text == "call 2"
    assert (await effects(admin), service.told) == (1, ["call 2"])


async def test_two_at_once_have_one_effect(service: Service, db: Database, person: Person, admin: Admin) -> None:
    """A second request waits for the first, in the same process and in another, and gets its answer."""
    other = Service(db)
    service.gate.clear()
    first = asyncio.create_task(person.post(service))
    await service.begun.wait()
    others = [asyncio.create_task(person.post(it)) for it in (service, other, other)]

    async def waiting() -> bool:
        locks = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        return bool(await admin.fetchval(locks) == 1)

    await eventually(waiting)
    service.gate.set()
    answers = await asyncio.gather(first, *others)
    assert [answer.text for answer in answers] == ["call 1"] * 4
    assert (service.calls, other.calls, await effects(admin)) == (1, 0, 1)


async def test_waiting_has_an_end(
    service: Service, db: Database, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits too long for a request with the same key is told that it is in use."""
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
    service.gate.clear()
    first = asyncio.create_task(person.post(service))
    await service.begun.wait()
    assert problem(await person.post(service)) == (409, "/problems/idempotency-key-in-use")
    elsewhere = await person.post(Service(db))
    assert problem(elsewhere) == (409, "/problems/idempotency-key-in-use")
    assert elsewhere.headers["retry-after"] == "1"
    service.gate.set()
    assert (await first).text == "call 1"


async def test_the_first_fails_while_another_waits(service: Service, person: Person, admin: Admin) -> None:
    """When the first request fails, the one that waited is done."""
    service.gate.clear()
    service.status = 503
    first = asyncio.create_task(person.post(service))
    await service.begun.wait()
    second = asyncio.create_task(person.post(service))
    service.gate.set()
    assert (await first).status_code == 503
    service.status = 201
    assert (await second).text == "call 2"
    assert await effects(admin) == 1


async def test_many_at_once_have_one_effect(service: Service, db: Database, person: Person, admin: Admin) -> None:
    """Of twenty parallel requests to two processes one is done, and all have its answer."""
    other = Service(db)
    answers = await asyncio.gather(*(person.post((service, other)[n % 2]) for n in range(20)))
    assert {answer.text for answer in answers} == {"call 1"}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await effects(admin) == 1


async def test_many_keys_leave_connections_for_others(service: Service, person: Person, admin: Admin) -> None:
    """Forty requests with keys, each of which needs a connection of its own besides, do not starve each other."""

    async def elsewhere(_: UUID) -> None:
        async with service.db.system() as connection:
            await connection.execute("select 1")

    service.within = elsewhere
    answers = await asyncio.gather(*(person.post(service, key=f"key {number}") for number in range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert await effects(admin) == 40


async def test_a_crash_before_the_commit_leaves_nothing(service: Service, person: Person, admin: Admin) -> None:
    """When the connection dies between handler and commit nothing is kept, and the next try is done once."""
    service.gate.clear()
    first = asyncio.create_task(person.post(service))
    await service.begun.wait()
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and state = 'idle in transaction'"
    )
    service.gate.set()
    assert problem(await first)[0] == 503
    assert (await effects(admin), await admin.fetchval("select count(*) from idempotency")) == (0, 0)
    assert [(await person.post(service)).text for _ in range(2)] == ["call 2"] * 2
    assert (await effects(admin), service.told) == (1, ["call 2"])


async def test_a_request_that_is_cut_off_leaves_nothing(service: Service, person: Person, admin: Admin) -> None:
    """A process that ends while it answers leaves neither effect nor key behind."""
    service.gate.clear()
    first = asyncio.create_task(person.post(service))
    await service.begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    service.gate.set()
    assert await effects(admin) == 0
    assert (await person.post(service)).text == "call 2"
    assert await effects(admin) == 1


async def test_a_body_has_a_bound(service: Service, person: Person) -> None:
    """A body that would not be held is 413, with a length and without one, and is read as a stream without a key."""

    async def chunks() -> Any:
        for _ in range(3):
            yield b"x" * 500

    for body in ("x" * 1001, chunks()):
        answer = await person.post(service, body=body)
        assert problem(answer) == (413, "/problems/idempotent-body-too-large")
    assert (await person.post(service, body="x" * 1001, key=None)).status_code == 201


async def test_an_answer_has_a_bound(service: Service, person: Person, admin: Admin) -> None:
    """An answer that would not be kept is 413, and what it would have told of is not done."""
    service.size = idempotency.MAX_ANSWER_BYTES
    assert problem(await person.post(service)) == (413, "/problems/idempotent-answer-too-large")
    assert (await effects(admin), service.told) == (0, [])


async def test_a_part_that_fails_is_taken_back_alone(service: Service, person: Person, admin: Admin) -> None:
    """Within a request each transaction is a savepoint: one that fails leaves nothing, those around it stay."""

    async def fails(tenant: UUID) -> None:
        with pytest.raises(ZeroDivisionError):
            await write_and_fail(service.db, tenant)
        with pytest.raises(Conflict):
            await lock_and_fail(service.db, tenant)
        assert await service.db.look_up(tenant, "select count(*) from tenant, inbox") is not None

    service.within = fails
    assert (await person.post(service)).text == "call 1"
    assert await admin.fetchval("select string_agg(consumer, ' ') from inbox") == "one"


async def write_and_fail(db: Database, tenant: UUID) -> None:
    """Writes, and thinks better of it."""
    async with db.tenant(tenant) as connection:
        await connection.execute(WRITE, tenant, "doomed", new_id())
        raise ZeroDivisionError


async def lock_and_fail(db: Database, tenant: UUID) -> None:
    """Fails in the database, which would end a transaction that has no savepoint."""
    async with db.tenant(tenant) as connection:
        await connection.execute(WRITE, tenant, "doomed", new_id())
        await connection.execute("do $$ begin raise lock_not_available; end $$")


async def test_what_a_request_sees_is_its_own(service: Service, person: Person, admin: Admin) -> None:
    """A request sees what it did; another tenant's transaction, and a task it begins, are not parts of it."""
    seen: list[int] = []

    async def count(tenant: UUID) -> None:
        async with service.db.tenant(tenant) as connection:
            seen.append(await connection.fetchval("select count(*) from inbox"))

    async def look(tenant: UUID) -> None:
        await count(tenant)
        await asyncio.create_task(count(tenant))
        await count(new_id())

    service.within = look
    await person.post(service)
    assert seen == [1, 0, 0]


async def test_after_the_request_nothing_is_left_of_it(db: Database) -> None:
    """When an outer transaction has ended, the task's next transactions are its own."""
    tenant = new_id()
    async with db.outer(tenant), db.tenant(tenant) as connection:
        await connection.execute(WRITE, tenant, "one", new_id())
    async with db.tenant(tenant) as connection:
        assert await connection.fetchval("select count(*) from inbox") == 1
        assert await connection.fetchval("select pg_current_xact_id_if_assigned()") is None


async def test_waiting_for_the_handler_holds_nothing_up(service: Service, person: Person) -> None:
    """Before a handler writes, its request has no transaction id, for which the outbox of others would wait."""
    await person.post(service)
    assert service.ids == [None]


async def aged(admin: Admin, age: timedelta) -> None:
    """Let time pass."""
    await admin.execute("update idempotency set created_at = created_at - $1::interval", age)


async def test_after_a_day_a_key_is_new(service: Service, person: Person, admin: Admin) -> None:
    """Up to a day an answer is given again, afterwards the same key does another thing, pruned or not."""
    await person.post(service)
    await aged(admin, timedelta(hours=23, minutes=59))
    assert (await person.post(service)).text == "call 1"
    await aged(admin, timedelta(minutes=2))
    assert (await person.post(service, body="two")).text == "call 2"
    assert (await person.post(service, body="two")).text == "call 2"
    assert await admin.fetchval("select count(*) from idempotency") == 1


async def test_old_answers_are_pruned_in_batches(service: Service, admin: Admin, database: Clone) -> None:
    """What is older than a day goes, of all tenants and so many at a time; what is younger cannot be taken away."""
    for number in range(5):
        await Person().post(service, key=str(number))
    await aged(admin, timedelta(hours=25))
    young = Person()
    await young.post(service)
    assert [await answers.prune(service.db, "pipelines", 3) for _ in range(3)] == [3, 2, 0]
    assert (await young.post(service)).headers["idempotency-replayed"] == "true"
    async with service.db.relay("millrace_pipelines_relay") as connection:
        assert await connection.execute("delete from idempotency") == "DELETE 0"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with service.db.relay("millrace_pipelines_relay") as connection:
            await connection.fetch("select body from idempotency")


async def test_the_pool_away_is_said(person: Person, database: Clone) -> None:
    """Without a database a request with a key is 503."""
    absent = Database(database.dsn("pipelines"))
    assert problem(await person.post(Service(absent))) == (503, "/problems/unavailable")


def test_the_document_names_the_header() -> None:
    """POST and PATCH of the API have the parameter, but for those of signing in."""
    operations: dict[str, Any] = {"post": {}, "patch": {"parameters": [{"name": "id"}]}, "get": {}}
    paths = {path: msgspec.json.decode(msgspec.json.encode(operations)) for path in ("/api/v1/a", "/api/v1/auth/b")}
    found = idempotency.document({"paths": paths})["paths"]
    names = {
        (path, method): [parameter["name"] for parameter in operation.get("parameters", [])]
        for path, item in found.items()
        for method, operation in item.items()
    }
    assert names == {
        ("/api/v1/a", "post"): ["Idempotency-Key"],
        ("/api/v1/a", "patch"): ["id", "Idempotency-Key"],
        ("/api/v1/a", "get"): [],
        ("/api/v1/auth/b", "post"): [],
        ("/api/v1/auth/b", "patch"): ["id"],
        ("/api/v1/auth/b", "get"): [],
    }
