"""A definition changes while there are records, and while others read and write them: two services, real servers."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import nats
import pytest

from libs.common import events
from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.pipelines import main as pipelines
from services.pipelines.settings import Settings as PipelinesSettings
from services.records import main as records
from services.records.settings import Settings as RecordsSettings
from services.records.usecases import pacing
from tests.support.asgi import running
from tests.support.issuer import Issuer, issuing
from tests.support.postgres import Database
from tests.support.waiting import PATIENCE, eventually

Json = dict[str, Any]
NAME = {"name": "name", "type": "text"}


@dataclass
class Both:
    """Pipelines and records of one tenant, in this process."""

    pipelines: httpx.AsyncClient
    records: httpx.AsyncClient
    issuer: Issuer
    tenant: UUID
    database: Database
    settings: RecordsSettings
    headers: dict[str, str]

    async def call(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        """The answer of whichever service it is to a request, which has this status."""
        own = "/records" in path or path.startswith("/jobs")
        client = self.records if own else self.pipelines
        answer = await client.request(method, f"/api/v1{path}", json=body, headers=more.get("headers", self.headers))
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def pipeline(self, *fields: Json, **more: Any) -> str:
        """A new pipeline, known to records."""
        body = {"name": "Deals", "schema_definition": {"fields": [NAME, *fields]}, **more}
        made: str = (await self.call("POST", "/pipelines", body, 201))["id"]
        return made

    async def fill(self, pipeline: str, rows: list[Json]) -> list[str]:
        """Records with this data; their ids."""
        ids: list[str] = []
        for start in range(0, len(rows), 1000):
            operations = [{"op": "create", "data": row} for row in rows[start : start + 1000]]
            body = {"operations": operations, "atomic": True}
            answer = await self.call("POST", f"/pipelines/{pipeline}/records/batch", body)
            ids += [result["id"] for result in answer["results"]]
        return ids

    async def data(self, pipeline: str, record: str) -> Json:
        """What a record has now."""
        found: Json = (await self.call("GET", f"/pipelines/{pipeline}/records/{record}"))["data"]
        return found

    async def plan(self, pipeline: str, **wanted: Any) -> Json:
        """A plan that was made."""
        made: Json = await self.call("POST", f"/pipelines/{pipeline}/schema/plan", wanted)
        return made

    async def ended(self, job: str, state: str = "done") -> Json:
        """A job, when it has ended so."""
        found: Json = {}

        async def over() -> bool:
            nonlocal found
            answer = await self.records.get(f"/api/v1/jobs/{job}", headers=self.headers)
            found = answer.json()
            return answer.status_code == 200 and found["state"] in ("done", "failed", "cancelled")

        await eventually(over, 200)
        assert found["state"] == state, found
        return found

    async def apply(self, pipeline: str, plan: Json, state: str = "done", **more: Any) -> Json:
        """The job of a plan that was applied, when it has ended so."""
        body = {"plan_id": plan["plan_id"], **more}
        job = await self.call("POST", f"/pipelines/{pipeline}/schema/apply", body, 202)
        found = await self.ended(job["id"], state)
        await self.settled(pipeline)
        return found

    async def settled(self, pipeline: str) -> None:
        """Returns when pipelines knows that no job is left."""
        admin = await asyncpg.connect(self.database.admin_dsn)

        async def none() -> bool:
            pending = await admin.fetchval("select pending from pipelines.pipelines where id = $1", UUID(pipeline))
            return bool(pending == "[]")

        try:
            await eventually(none)
        finally:
            await admin.close()


@asynccontextmanager
async def serving(settings: RecordsSettings) -> AsyncIterator[httpx.AsyncClient]:
    """Another process's records service, as far as that can be in this one."""
    async with running(records.build(settings)) as client:
        await _ready(client)
        yield client


async def _ready(client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return bool((await client.get("/health")).json()["status"] == "ok")

    await eventually(ready)


@pytest.fixture
async def both(
    request: pytest.FixtureRequest, database: Database, nats_url: str, redis_url: str
) -> AsyncIterator[Both]:
    """The two services; records does two jobs at once, or as many as the parameter says."""
    given = RecordsSettings(
        port=0, database_url=database.dsn("records"), nats_url=nats_url, redis_url=redis_url, job_lease_seconds=2.0,
        job_concurrency=getattr(request, "param", 2),
    )  # fmt: skip
    other = PipelinesSettings(port=0, database_url=database.dsn("pipelines"), nats_url=nats_url, redis_url=redis_url)
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(issuing(nats_url))
        client = await stack.enter_async_context(running(pipelines.build(other)))
        await _ready(client)
        served = await stack.enter_async_context(serving(given))
        tenant = new_id()
        yield Both(client, served, issuer, tenant, database, given, issuer.headers(tenant))


async def test_a_type_changes_as_planned(both: Both) -> None:
    """The plan counts what would not fit and shows it; applied with force the rest is converted, and comes back."""
    pipeline = await both.pipeline({"name": "size", "type": "text"})
    ids = await both.fill(pipeline, [{"name": "a", "size": "12"}, {"name": "b", "size": "big"}, {"name": "c"}])
    plan = await both.plan(pipeline, fields=[{"name": "size", "type": "number", "indexed": True}])
    by_kind = {change["kind"]: change for change in plan["changes"]}
    assert set(by_kind) == {"type_changed", "made_indexed", "made_not_searchable"}
    changed = by_kind["type_changed"]
    assert (changed["records_affected"], changed["records_failing"]) == (2, 1)
    assert [(sample["record_id"], sample["value"]) for sample in changed["samples"]] == [(ids[1], "big")]
    body = {"plan_id": plan["plan_id"]}
    refused = await both.call("POST", f"/pipelines/{pipeline}/schema/apply", body, 409)
    assert refused["type"] == "/problems/records-would-not-fit"
    await both.apply(pipeline, plan, force=True)
    assert [await both.data(pipeline, it) for it in ids] == [{"name": "a", "size": 12}, {"name": "b"}, {"name": "c"}]
    history = await both.call("GET", f"/pipelines/{pipeline}/records/{ids[1]}/history")
    assert history["items"][0]["changes"] == {"size": {"old": "big", "new": None}}
    back = await both.call("POST", f"/pipelines/{pipeline}/schema/rollback", {"version": 1}, 202)
    await both.ended(back["id"])
    assert [(await both.data(pipeline, it)).get("size") for it in ids] == ["12", "big", None]


async def test_a_renamed_field_keeps_all_it_had(both: Both, nats_url: str) -> None:
    """Values, history, uniqueness, title, rules, views and what relations show go by the new name, and back again; it
    is told which relations lead there.
    """
    rule = {"effect": "require", "when": {"field": "code", "op": "eq", "value": "x"}, "fields": ["code"]}
    pipeline = await both.pipeline({"name": "code", "type": "text", "unique": True}, title_template="{code}!")
    await both.call("POST", f"/pipelines/{pipeline}/rules", rule, 201)
    (record,) = await both.fill(pipeline, [{"name": "a", "code": "k1"}])
    view = {"name": "v", "filter": {"not": {"field": "code", "op": "eq", "value": "x"}}, "sort": "-code,name"}
    kept = await both.call("POST", f"/pipelines/{pipeline}/views", {**view, "fields": ["code"]}, 201)
    relation = {"name": "of", "type": "relation", "target_pipeline": pipeline, "relationship_type": "of"}
    others = await both.pipeline({**relation, "display_field": "code"})

    async def displayed() -> Any:
        return (await both.call("GET", f"/pipelines/{others}"))["schema_definition"]["fields"][-1]["display_field"]

    plan = await both.plan(pipeline, rename={"code": "key"})
    assert [change["kind"] for change in plan["changes"]] == ["field_renamed"]
    further = await both.pipeline({**relation, "target_pipeline": others, "relationship_type": "further"})
    await both.apply(pipeline, plan)
    assert await displayed() == "key"
    ways = await led(nats_url, both.tenant)
    assert {(it["pipeline_id"], it["target"]) for it in ways} == {(others, pipeline), (further, others)}
    assert await both.data(pipeline, record) == {"name": "a", "key": "k1"}
    history = await both.call("GET", f"/pipelines/{pipeline}/records/{record}/history")
    assert "key" in history["items"][0]["changes"]
    again = await both.call("POST", f"/pipelines/{pipeline}/records", {"data": {"key": "k1"}}, 422)
    assert again["errors"][0]["pointer"] == "/data/key"
    now = await both.call("GET", f"/pipelines/{pipeline}")
    assert now["title_template"] == "{key}!"
    changes = (await both.call("GET", f"/pipelines/{pipeline}/versions/{now['version']}?since=1"))["changes"]
    assert [(it["before"]["name"], it["field"], it["kinds"]) for it in changes["fields"]] == [
        ("code", "key", ["field_renamed"])
    ]
    assert {it["name"] for it in changes["others"]} == {"title_template", "rules"}
    rules = await both.call("GET", f"/pipelines/{pipeline}/rules")
    assert (rules["items"][0]["when"]["field"], rules["items"][0]["fields"]) == ("key", ["key"])
    shown = await both.call("GET", f"/pipelines/{pipeline}/views/{kept['id']}")
    assert (shown["filter"]["not"]["field"], shown["sort"], shown["fields"]) == ("key", "-key,name", ["key"])
    back = await both.call("POST", f"/pipelines/{pipeline}/schema/rollback", {"version": 2}, 202)
    await both.ended(back["id"])
    assert await both.data(pipeline, record) == {"name": "a", "code": "k1"}
    assert await displayed() == "code"


async def led(nats_url: str, tenant: UUID) -> list[Json]:
    """What the first rename of a tenant told of the relations that lead to the pipeline."""
    client = await nats.connect(nats_url)
    subscription = await client.jetstream().subscribe(f"evt.{tenant}.pipelines.pipeline.updated", ordered_consumer=True)
    try:
        while True:
            message = await subscription.next_msg(timeout=PATIENCE)
            if leading := events.decode(message.data, Any).data.get("leading"):
                found: list[Json] = leading
                return found
    finally:
        await client.close()


async def test_a_removed_field_is_nowhere_and_comes_back(both: Both) -> None:
    """What it held is in no answer and no history; restored it is all there; purged it is gone for good."""
    pipeline = await both.pipeline({"name": "secret", "type": "text"})
    (record,) = await both.fill(pipeline, [{"name": "a", "secret": "s3"}])
    await both.call("DELETE", f"/pipelines/{pipeline}/fields/secret", status=204)

    async def heard() -> bool:
        return "secret" not in await both.data(pipeline, record)

    await eventually(heard)
    for path in ("", f"/{record}", f"/{record}/history", "?filter[name]=a"):
        answer = await both.call("GET", f"/pipelines/{pipeline}/records{path}")
        assert "s3" not in str(answer), path
    await both.settled(pipeline)
    (gone,) = (await both.call("GET", f"/pipelines/{pipeline}/fields/trash"))["items"]
    assert (gone["field"]["name"], gone["version"]) == ("secret", 2)
    await both.call("POST", f"/pipelines/{pipeline}/fields/secret/restore")
    await both.settled(pipeline)
    assert await both.data(pipeline, record) == {"name": "a", "secret": "s3"}
    history = await both.call("GET", f"/pipelines/{pipeline}/records/{record}/history")
    assert history["items"][0]["changes"]["secret"] == {"old": None, "new": "s3"}
    await both.call("DELETE", f"/pipelines/{pipeline}/fields/secret", status=204)
    await both.settled(pipeline)
    await both.call("DELETE", f"/pipelines/{pipeline}/fields/secret?permanent=true", status=204)
    await both.settled(pipeline)
    admin = await asyncpg.connect(both.database.admin_dsn)
    assert await admin.fetchval("select count(*) from records.trashed_values") == 0
    assert not await admin.fetchval("select exists (select from records.records where data::text like '%s3%')")
    await admin.close()
    assert (await both.call("GET", f"/pipelines/{pipeline}/fields/trash"))["items"] == []


async def test_relationships_go_and_come_with_their_field(both: Both) -> None:
    """A removed relation field parts its records; restored it joins those that are there, also in the trash."""
    companies = await both.pipeline()
    (acme, gone) = await both.fill(companies, [{"name": "Acme"}, {"name": "Gone"}])
    relation = {"name": "company", "type": "relation", "target_pipeline": companies, "relationship_type": "works_at"}
    pipeline = await both.pipeline(relation)
    first, second = await both.fill(pipeline, [{"name": "a", "company": acme}, {"name": "b", "company": gone}])
    (trashed,) = await both.fill(pipeline, [{"name": "c", "company": acme}])
    await both.call("DELETE", f"/pipelines/{pipeline}/records/{trashed}", status=204)
    await both.call("DELETE", f"/pipelines/{pipeline}/fields/company", status=204)
    await both.settled(pipeline)
    edges = await both.call("GET", f"/pipelines/{companies}/records/{acme}/relationships")
    assert edges["items"] == []
    await both.call("DELETE", f"/pipelines/{companies}/records/{gone}?permanent=true", status=204)
    await both.call("POST", f"/pipelines/{pipeline}/fields/company/restore")
    await both.settled(pipeline)
    (edge,) = (await both.call("GET", f"/pipelines/{companies}/records/{acme}/relationships"))["items"]
    assert (edge["source"]["id"], edge["field"]) == (first, "company")
    assert (await both.data(pipeline, first))["company"] == acme
    assert "company" not in await both.data(pipeline, second)
    await both.call("POST", f"/pipelines/{pipeline}/records/{trashed}/restore")
    assert (await both.data(pipeline, trashed))["company"] == acme


async def test_what_is_not_unique_is_taken_back(both: Both) -> None:
    """The plan counts duplicates; applied all the same the job fails with them, and the field is as it was."""
    pipeline = await both.pipeline({"name": "code", "type": "text"})
    ids = await both.fill(
        pipeline, [{"name": "a", "code": "x"}, {"name": "b", "code": "y"}, {"name": "c", "code": "x"}]
    )
    field = {"name": "code", "type": "text", "unique": True}
    plan = await both.plan(pipeline, fields=[field])
    assert [(c["kind"], c["records_failing"]) for c in plan["changes"]] == [("made_unique", 1)]
    job = await both.apply(pipeline, plan, "failed", force=True)
    assert job["error"]["code"] == "not-unique"
    assert job["error"]["extra"]["duplicates"] == [{"field": "code", "value": "x", "records": [ids[0], ids[2]]}]
    fields = (await both.call("GET", f"/pipelines/{pipeline}/fields"))["items"]
    assert fields[1]["unique"] is False
    await both.call("DELETE", f"/pipelines/{pipeline}/records/{ids[2]}", status=204)
    await both.apply(pipeline, await both.plan(pipeline, fields=[field]))
    taken = await both.call("POST", f"/pipelines/{pipeline}/records", {"data": {"code": "y"}}, 422)
    assert taken["errors"][0]["code"] == "not_unique"
    await both.call("POST", f"/pipelines/{pipeline}/records", {"data": {"code": "z"}}, 201)


async def test_what_is_required_is_filled_in(both: Both) -> None:
    """Records without a value get the default of a field that is required from now on."""
    pipeline = await both.pipeline({"name": "rank", "type": "number"})
    ids = await both.fill(pipeline, [{"name": "a", "rank": 7}, {"name": "b"}])
    plan = await both.plan(pipeline, fields=[{"name": "rank", "type": "number", "required": True, "default": 1}])
    required = next(change for change in plan["changes"] if change["kind"] == "made_required")
    assert (required["records_affected"], required["records_failing"]) == (1, 0)
    await both.apply(pipeline, plan)
    assert [(await both.data(pipeline, it))["rank"] for it in ids] == [7, 1]


async def test_a_plan_holds_for_one_definition_once(both: Both) -> None:
    """A definition that moved on makes it stale, and an applied plan is there no more."""
    pipeline = await both.pipeline()
    plan = await both.plan(pipeline, fields=[{"name": "x", "type": "text"}])
    await both.call("PATCH", f"/pipelines/{pipeline}", {"name": "Other"})
    await both.call("POST", f"/pipelines/{pipeline}/schema/apply", {"plan_id": plan["plan_id"]}, 412)
    plan = await both.plan(pipeline, fields=[{"name": "x", "type": "text"}])
    await both.apply(pipeline, plan)
    await both.call("POST", f"/pipelines/{pipeline}/schema/apply", {"plan_id": plan["plan_id"]}, 404)
    numbers = [it["version"] for it in (await both.call("GET", f"/pipelines/{pipeline}/versions"))["items"]]
    assert numbers == [3, 2, 1]
    one = await both.call("GET", f"/pipelines/{pipeline}/versions/1")
    assert ([field["name"] for field in one["fields"]], "changes" in one) == (["name"], False)
    changes = (await both.call("GET", f"/pipelines/{pipeline}/versions/3?since=1"))["changes"]
    assert changes["others"] == [{"name": "name", "before": "Deals", "after": "Other"}]
    assert [(it["field"], it["kinds"], it["before"]) for it in changes["fields"]] == [("x", ["field_added"], None)]
    await both.call("GET", f"/pipelines/{pipeline}/versions/1?since=3", status=422)


async def test_samples_show_what_may_be_seen(both: Both) -> None:
    """Who may not read a field is told nothing of what records hold in it, nor whether that would fit, until forced."""
    pipeline = await both.pipeline({"name": "size", "type": "text"})
    await both.fill(pipeline, [{"name": "a", "size": "hidden"}])
    grants = Grant("pipelines", ("*",)), Grant("records", ("read",), readable_fields=frozenset({"name"}))
    headers = both.issuer.headers(both.tenant, *grants)
    wanted = {"fields": [{"name": "size", "type": "number"}]}
    fitting = {"fields": [{"name": "size", "type": "text", "pattern": "hid.*"}]}
    for body in (wanted, fitting):
        plan = await both.call("POST", f"/pipelines/{pipeline}/schema/plan", body, headers=headers)
        told = [(c["records_affected"], c["records_failing"], c["samples"]) for c in plan["changes"]]
        assert (None, None, []) in told
        assert [it for it in told if it not in ((None, None, []), (None, 0, []))] == []
        where = f"/pipelines/{pipeline}/schema/apply"
        refused = await both.call("POST", where, {"plan_id": plan["plan_id"]}, 409, headers=headers)
        assert refused["type"] == "/problems/records-would-not-fit"


@pytest.mark.parametrize("seed", range(2))
async def test_writers_lose_nothing_while_a_plan_is_applied(both: Both, seed: int) -> None:
    """Five thousand records change type, name and uniqueness while others write them; each write is there after it."""
    rng = random.Random(seed)
    fields = {"name": "size", "type": "text"}, {"name": "code", "type": "text"}, {"name": "old", "type": "text"}
    pipeline = await both.pipeline(*fields)
    rows = [{"name": f"n{i}", "size": str(i), "code": f"c{i}", "old": f"o{i}"} for i in range(5000)]
    ids = await both.fill(pipeline, rows)
    wanted = [{"name": "size", "type": "number", "indexed": True}, {"name": "code", "type": "text", "unique": True}]
    plan = await both.plan(pipeline, fields=wanted, rename={"old": "new"})
    written: dict[str, Json] = {}
    over = asyncio.Event()

    async def write(mine: list[str]) -> None:
        count = 0
        while not over.is_set():
            count += 1
            record = rng.choice(mine)
            answer = await both.records.patch(
                f"/api/v1/pipelines/{pipeline}/records/{record}",
                json={"data": {"name": f"w{count}", "code": f"{record}-{count}"}},
                headers=both.headers,
            )
            assert answer.status_code == 200, answer.text
            written[record] = {"name": f"w{count}", "code": f"{record}-{count}"}
            await asyncio.sleep(0.005)

    writers = [asyncio.create_task(write(ids[start::3])) for start in range(3)]
    await both.apply(pipeline, plan)
    over.set()
    await asyncio.gather(*writers)
    admin = await asyncpg.connect(both.database.admin_dsn)
    text = "select id::text, data->>'name' as name, data->'size' as size, data->>'code' as code, data->>'new' as new, "
    text += "data ? 'old' as old from records.records where pipeline_id = $1"
    found = {row["id"]: row for row in await admin.fetch(text, UUID(pipeline))}
    claims = await admin.fetchval("select count(*) from records.unique_values where field = 'code@2'")
    await admin.close()
    assert len(written) > 10
    for index, record in enumerate(ids):
        now, last = found[record], written.get(record, rows[index])
        assert (now["name"], now["code"]) == (last["name"], last["code"])
        assert (now["size"], now["new"], now["old"]) == (str(index), f"o{index}", False)
    assert claims == 5000


async def test_a_crash_in_the_middle_is_gone_on_from(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies within the job leaves the rest to another, and nothing is done twice."""
    monkeypatch.setattr(pacing, "MOST", 100)
    pipeline = await both.pipeline({"name": "size", "type": "text"})
    ids = await both.fill(pipeline, [{"name": "n", "size": str(i)} for i in range(3000)])
    plan = await both.plan(pipeline, fields=[{"name": "size", "type": "number"}])
    job = await both.call("POST", f"/pipelines/{pipeline}/schema/apply", {"plan_id": plan["plan_id"]}, 202)
    admin = await asyncpg.connect(both.database.admin_dsn)

    async def begun() -> bool:
        return bool(await admin.fetchval("select done > 0 from records.jobs where id = $1", UUID(job["id"])))

    await eventually(begun)
    cut = "update records.job_queue set owner = gen_random_uuid(), lease_until = now() where job_id = $1"
    await admin.execute(cut, UUID(job["id"]))
    async with serving(both.settings):
        await both.ended(job["id"])
    versions = "select version, count(*) from records.records where pipeline_id = $1 group by version"
    assert [tuple(row) for row in await admin.fetch(versions, UUID(pipeline))] == [(2, 3000)]
    await admin.close()
    assert (await both.data(pipeline, ids[-1]))["size"] == 2999
