"""The shortest way between two records, compared with a plain breadth-first search."""

import random
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg

from libs.common.permissions import Grant
from tests.records.support import Client, Service

RELATE = """
insert into records.edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target, one_source, created_at, created_by)
select $1, uuidv7(), type, source, source_pipeline, target, target_pipeline, '', false, false, now(), $1
from unnest($2::text[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[])
    as new(type, source, source_pipeline, target, target_pipeline)
on conflict do nothing
"""
LEAVES = """
insert into records.edges (tenant_id, id, type, source_id, source_pipeline, target_id, target_pipeline, field,
    one_target, one_source, created_at, created_by)
select $1, uuidv7(), 'knows', uuidv7(), $3, $2, $3, '', false, false, now(), $1 from generate_series(1, 10001)
"""
SHAPES = ((16, 17), (16, 22), (14, 40), (20, 21), (18, 26))
"""How many records and relationships the graphs have: chains, branches, a thicket."""

Pair = tuple[str, str]


@dataclass
class Graph:
    """Records with their pipelines, and which of them are related, whichever way."""

    pipelines: dict[str, UUID]
    pairs: set[Pair]

    def distance(self, start: str, goal: str, visible: set[str]) -> int | None:
        """The steps from one to the other over visible ones, of which six are the most."""
        depths, near = {start: 0}, deque([start])
        while near:
            one = near.popleft()
            for other in {b for a, b in self.pairs if a == one} & visible - depths.keys():
                depths[other] = depths[one] + 1
                near.append(other)
        depth = depths.get(goal)
        return depth if depth is not None and depth <= 6 else None


async def graph(service: Service, chance: random.Random, size: int, edges: int) -> tuple[Graph, set[str]]:
    """A graph over three pipelines, and those of its records that a rule on rows hides, or that are in the trash."""
    pipelines = [service.pipeline({"name": "open", "type": "checkbox"}) for _ in range(3)]
    shown = [chance.random() < 0.8 for _ in range(size)]
    places: dict[str, UUID] = {}
    for place, pipeline in enumerate(pipelines):
        asked = [{"op": "create", "data": {"open": is_open}} for is_open in shown[place::3]]
        made = await service.client.batch(pipeline, asked)
        places |= {result["id"]: pipeline for result in made["results"]}
    ids = list(places)
    pairs = [(chance.choice(ids), chance.choice(ids)) for _ in range(edges)]
    await relate(service, [(chance.choice(("knows", "likes")), a, b) for a, b in pairs], places)
    gone = chance.choice(ids)
    assert (await service.client.delete(f"/pipelines/{places[gone]}/records/{gone}")).status_code == 204
    return Graph(places, {*pairs, *((b, a) for a, b in pairs)}), {gone}


async def relate(service: Service, edges: list[tuple[str, str, str]], pipelines: dict[str, UUID]) -> None:
    """Relationships of a type between records."""
    columns = [
        [type_ for type_, _, _ in edges],
        [UUID(a) for _, a, _ in edges], [pipelines[a] for _, a, _ in edges],
        [UUID(b) for _, _, b in edges], [pipelines[b] for _, _, b in edges],
    ]  # fmt: skip
    admin = await asyncpg.connect(service.database.admin_dsn)
    await admin.execute(RELATE, service.tenant_id, *columns)
    await admin.close()


async def visible_to(client: Client, graph: Graph) -> set[str]:
    """The records that a principal's lists show."""
    found: set[str] = set()
    for pipeline in set(graph.pipelines.values()):
        response = await client.get(f"/pipelines/{pipeline}/records?limit=200")
        found |= {item["id"] for item in response.json()["items"]} if response.status_code == 200 else set()
    return found


async def check(client: Client, graph: Graph, visible: set[str], start: str, goal: str) -> int | None:
    """Compares one answer with what is expected, and gives back its length."""
    response = await client.get(f"/records/{start}/shortest-path/{goal}")
    if not {start, goal} <= visible:
        assert response.status_code == 404, response.text
        return None
    way = response.json()
    expected = graph.distance(start, goal, visible)
    assert way["length"] == expected
    if expected is not None:
        ids = [record["id"] for record in way["records"]]
        assert (ids[0], ids[-1], set(ids) - visible) == (start, goal, set())
        joined = [{edge["source"]["id"], edge["target"]["id"]} for edge in way["relationships"]]
        assert joined == [{one, other} for one, other in pairwise(ids)]
        assert (await client.get(f"/records/{start}/shortest-path/{goal}")).json() == way
    return expected


async def test_the_way_is_the_shortest_over_visible_records(service: Service) -> None:
    """In random graphs each way is as long as a plain search over visible records says, and twice the same."""
    chance = random.Random(11)
    lengths: list[int | None] = []
    for size, edges in SHAPES:
        drawn, gone = await graph(service, chance, size, edges)
        one, ruled, _ = dict.fromkeys(drawn.pipelines.values())
        grants = Grant("records", ("*",), one), Grant("records", ("*",), ruled, {"field": "open", "value": True})
        somebody = service.principal(*grants)
        seen = await visible_to(somebody, drawn)
        assert 2 < len(seen) < size - 1
        everything = list(drawn.pipelines)
        known = [record_id for record_id in everything if record_id in seen]
        for _ in range(16):
            start, goal = chance.choice(everything), chance.choice(everything)
            lengths.append(await check(service.client, drawn, drawn.pipelines.keys() - gone, start, goal))
            start, goal = chance.choice(known), chance.choice(everything)
            await check(somebody, drawn, seen, start, goal)
    assert {0, 1, 2, 3, 4, 5, None} <= set(lengths)


async def test_a_crowd_is_no_hindrance_where_the_other_end_comes_to_it(service: Service) -> None:
    """A way leads over a record of ten thousand relationships; between two such crowds it leads to too many."""
    pipeline = service.pipeline({"name": "open", "type": "checkbox"})
    names = ("crowd", "near", "far", "rest", "others", "beyond")
    made = await service.client.batch(pipeline, [{"op": "create", "data": {}} for _ in names])
    ids = dict(zip(names, (result["id"] for result in made["results"]), strict=True))
    pairs = [("near", "crowd"), ("crowd", "far"), ("far", "rest"), ("others", "beyond")]
    edges = [("knows", ids[a], ids[b]) for a, b in pairs]
    await relate(service, edges, dict.fromkeys(ids.values(), pipeline))
    admin = await asyncpg.connect(service.database.admin_dsn)
    for crowd in ("crowd", "others"):
        await admin.execute(LEAVES, service.tenant_id, UUID(ids[crowd]), pipeline)
    await admin.close()

    async def ask(start: str, goal: str) -> Any:
        return (await service.client.get(f"/records/{ids[start]}/shortest-path/{ids[goal]}")).json()

    for start, goal, length in (("near", "far", 2), ("near", "rest", 3), ("crowd", "rest", 2), ("rest", "near", 3)):
        assert (await ask(start, goal))["length"] == length
    assert (await ask("near", "beyond"))["type"] == "/problems/too-many-records"
