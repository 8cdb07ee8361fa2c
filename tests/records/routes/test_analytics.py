"""The dashboard: counts that are kept, equal to what counting finds."""

import asyncio
import random
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from libs.common.permissions import Grant
from services.records.domain.analytics import periods
from tests.records.support import Client, Service
from tests.support.waiting import eventually

STAGES = ["new", "won", "lost"]
FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text"},
    {"name": "stage", "type": "stage", "stages": [{"value": value} for value in STAGES]},
]
ACTIONS = frozenset({"read", "create", "update", "delete"})


async def shown(client: Client, pipeline: UUID, **params: Any) -> dict[str, Any]:
    """The dashboard of a pipeline."""
    answer = await client.get("/analytics/dashboard", params={"pipeline_id": str(pipeline), **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def counted(service: Service, pipeline: UUID) -> None:
    """Waits until the counts of a pipeline are kept."""
    await shown(service.client, pipeline)
    connection = await asyncpg.connect(service.database.admin_dsn)
    try:
        query = "select bool_and(ready) from records.tally_fields where pipeline_id = $1"
        await eventually(lambda: connection.fetchval(query, pipeline))
    finally:
        await connection.close()


async def by_hand(client: Client, pipeline: UUID) -> dict[str | None, int]:
    """The records by stage, counted by the list."""
    answer = await client.get(f"/pipelines/{pipeline}/records/aggregate", params={"group_by": "stage"})
    return {item["group"]["stage"]: item["metrics"]["count"] for item in answer.json()["items"]}


def by_stage(dashboard: dict[str, Any]) -> dict[str | None, int]:
    """The records by stage, as the dashboard has them."""
    stages = dashboard["pipelines"][0]["by_stage"][0]["stages"]
    return {stage["value"]: stage["count"] for stage in stages if stage["count"]}


async def test_counts_are_exact_whoever_writes(service: Service) -> None:
    """After random writes by several at once, begun before counting was, the counts are what counting finds."""
    pipeline = service.pipeline(*FIELDS)
    client = service.client
    seeds = [(await client.create(pipeline, {"name": "old", "stage": "new"}))["id"] for _ in range(5)]
    writing = [asyncio.create_task(write(client, pipeline, seed, list(seeds))) for seed in range(4)]
    await shown(client, pipeline)
    await asyncio.gather(*writing)
    await counted(service, pipeline)
    await asyncio.gather(*(write(client, pipeline, seed, list(seeds)) for seed in range(4, 8)))
    expected = await by_hand(client, pipeline)
    found = await shown(client, pipeline)
    assert by_stage(found) == expected
    assert found["pipelines"][0]["count"] == sum(expected.values()) == sum(p["count"] for p in found["created"])
    assert (found["pipelines"][0]["complete"], found["time_zone"]) == (True, "UTC")


async def write(client: Client, pipeline: UUID, seed: int, known: list[str]) -> None:
    """Random operations, alone and in batches."""
    chance, path = random.Random(seed), f"/pipelines/{pipeline}/records"
    for _ in range(15):
        stage = chance.choice([*STAGES, None])
        one = chance.choice(known)
        match chance.randrange(6):
            case 0:
                known.append((await client.create(pipeline, {"stage": stage} if stage else {}))["id"])
            case 1 | 2:
                await client.patch(f"{path}/{one}", {"data": {"stage": stage}})
            case 3:
                await client.delete(f"{path}/{one}", params={"permanent": str(chance.random() < 0.3).lower()})
            case 4:
                await client.post(f"{path}/{one}/restore")
            case _:
                new = [{"op": "create", "data": {"stage": chance.choice(STAGES)}} for _ in range(20)]
                await client.batch(pipeline, [*new, {"op": "update", "id": one, "data": {"stage": stage}}])


async def test_who_did_what_and_what_was_won(service: Service) -> None:
    """Winning counts each time, and what was done counts with who did it, before counting began and after."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"stage": "won"})
    path = f"/pipelines/{pipeline}/records/{made['id']}"
    await counted(service, pipeline)
    other = service.principal(Grant("records", ACTIONS))
    for stage in ("lost", "won"):
        await other.patch(path, {"data": {"stage": stage}})
    await other.delete(path)
    found = await shown(service.client, pipeline)
    assert [period["count"] for period in found["won"]] == [2]
    did = [{name: it[name] for name in ("created", "updated", "deleted", "restored")} for it in found["activity"]]
    assert did == [
        {"created": 0, "updated": 2, "deleted": 1, "restored": 0},
        {"created": 1, "updated": 0, "deleted": 0, "restored": 0},
    ]
    assert (found["created"], by_stage(found)) == ([], {})


async def test_only_what_may_be_seen_is_counted(service: Service) -> None:
    """Under a row rule the rows that pass are counted; a hidden stage is not told of; without a grant it is refused."""
    pipeline = service.pipeline(*FIELDS)
    for stage in ("new", "new", "won"):
        await service.client.create(pipeline, {"name": stage, "stage": stage})
    await counted(service, pipeline)
    rule = {"field": "stage", "value": "new"}
    some = await shown(service.principal(Grant("records", ACTIONS, row_rule=rule)), pipeline)
    assert (some["pipelines"][0]["count"], by_stage(some), some["won"]) == (2, {"new": 2}, [])
    blind = await shown(service.principal(Grant("records", ACTIONS, readable_fields=frozenset({"name"}))), pipeline)
    assert (blind["pipelines"][0]["count"], blind["pipelines"][0]["by_stage"], blind["won"]) == (3, [], [])
    stranger = service.principal(Grant("users", ACTIONS))
    refused = await stranger.get("/analytics/dashboard", params={"pipeline_id": str(pipeline)})
    assert refused.status_code == 403
    assert (await stranger.get("/analytics/dashboard")).json()["pipelines"] == []


async def test_days_are_bounded(service: Service) -> None:
    """Days that end before they begin, too many, or none at all are refused."""
    bad = [
        {"since": "2026-02-02", "until": "2026-02-01"},
        {"since": "1900-01-01"},
        {"since": "x"},
        {"interval": "hour"},
    ]
    answers: list[httpx.Response] = [await service.client.get("/analytics/dashboard", params=params) for params in bad]
    assert [answer.status_code for answer in answers] == [422] * 4


def test_days_become_periods() -> None:
    """Weeks begin on Mondays and months on their first."""
    days = [(date(2026, 1, 31), 1), (date(2026, 2, 1), 2), (date(2026, 2, 2), 4)]
    assert [(it.period, it.count) for it in periods(days, "week")] == [("2026-01-26", 3), ("2026-02-02", 4)]
    assert [(it.period, it.count) for it in periods(days, "month")] == [("2026-01-01", 1), ("2026-02-01", 6)]
