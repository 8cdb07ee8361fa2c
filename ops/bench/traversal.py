"""Two hops through the graph: from a company over ten departments to 500 employees."""

import time
from statistics import median

from ops.bench.figures import Figure
from ops.bench.filling import fill, settle
from ops.bench.requests import BenchFailed, Side, request, run
from ops.bench.stage import Stage

DEPARTMENTS = 10
EMPLOYEES = 500
CLIENTS = 32
_TIMES = 15


async def measure(stage: Stage) -> list[Figure]:
    """All 500, in pages of 200 and by the count, by one client; a page and the count by many, beside plain SQL."""
    company = await _people(stage)
    await settle(stage)
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
    walked = f"/api/v1/records/{company}/traverse?path=belongs_to,works_in&direction=in&count=exact&limit=200"
    ours = run(Side(stage.gateway, [request("GET", walked, stage.api.token)], CLIENTS))
    plain = run(Side(stage.bare, [request("GET", f"/{stage.tenant}/two-hops/{company}")], CLIENTS))
    note = f"{ours.rate:,.0f}/s, beside plain SQL {plain.rate:,.0f}/s"
    return [
        Figure("traversal to 500 over two hops", median(pages), "ms", most=100, note="three pages"),
        Figure("the same, one page and the count", median(counts), "ms", most=100),
        Figure(f"the same, p95 of {CLIENTS} clients", ours.p95_ms, "ms", plain.p95_ms, most=50, note=note),
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
