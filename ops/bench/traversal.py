"""Two hops through the graph: from a company over ten departments to 500 employees."""

import time
from statistics import median

from ops.bench.figures import Figure
from ops.bench.filling import fill
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
    company = (await fill(stage, stage.pipelines["companies"], [{"name": "Bench Company"}]))[0]
    rows = [{"name": f"Bench Department {n}", "company": company} for n in range(DEPARTMENTS)]
    departments = await fill(stage, stage.pipelines["departments"], rows)
    await fill(
        stage,
        stage.pipelines["employees"],
        [
            {"name": f"Person {n}", "email": f"person{n}@bench.example", "department": departments[n % DEPARTMENTS]}
            for n in range(EMPLOYEES)
        ],
    )
    return company
