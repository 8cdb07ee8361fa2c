"""Two hops through the graph: from a company over ten departments to 500 employees."""

import time
from statistics import median
from typing import Any

from ops.bench.figures import Figure
from ops.bench.requests import BenchFailed
from ops.bench.stage import Stage

DEPARTMENTS = 10
EMPLOYEES = 500
_TIMES = 15


async def measure(stage: Stage) -> list[Figure]:
    """All 500, in pages of 200 and by the count alone."""
    company = await _people(stage)
    path = {"path": "belongs_to,works_in"}
    pages, counts = [], []
    for _ in range(_TIMES):
        started = time.perf_counter()
        found = [item async for item in stage.api.pages(f"/records/{company}/traverse", path)]
        pages.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        page = await stage.api.get(f"/records/{company}/traverse", {**path, "count": "exact", "limit": 200})
        counts.append((time.perf_counter() - started) * 1000)
        if len(found) != EMPLOYEES or page["count"] != EMPLOYEES:
            raise BenchFailed(f"the traversal found {len(found)} and counted {page['count']} instead of {EMPLOYEES}")
    return [
        Figure("traversal to 500 over two hops", median(pages), "ms", most=100, note="three pages"),
        Figure("the same, one page and the count", median(counts), "ms", most=100),
    ]


async def _people(stage: Stage) -> str:
    company = (await _create(stage, "companies", [{"name": "Bench Company"}]))[0]
    rows = [{"name": f"Bench Department {n}", "company": company} for n in range(DEPARTMENTS)]
    departments = await _create(stage, "departments", rows)
    await _create(
        stage,
        "employees",
        [
            {"name": f"Person {n}", "email": f"person{n}@bench.example", "department": departments[n % DEPARTMENTS]}
            for n in range(EMPLOYEES)
        ],
    )
    return company


async def _create(stage: Stage, slug: str, rows: list[dict[str, Any]]) -> list[str]:
    operations = [{"op": "create", "data": row} for row in rows]
    answer = await stage.api.post(f"/pipelines/{stage.pipelines[slug]}/records/batch", {"operations": operations})
    if answer["created"] != len(rows):
        raise BenchFailed(f"{answer['created']} of {len(rows)} {slug} were created: {answer['results'][0]}")
    return [result["id"] for result in answer["results"]]
