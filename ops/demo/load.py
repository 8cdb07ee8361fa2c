"""Loading the demo through the public API: again and again, or on from where it stopped, with the same result."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from millrace.client import Api, ApiError
from ops.demo import people
from ops.demo.crm import COMPANIES, DEALS, DEPARTMENTS, EMPLOYEES
from ops.demo.datasets import Dataset, Field, Row
from ops.demo.world import AIRPORTS, CITIES, COUNTRIES, borders

# Those that others link to come first.
DATASETS = (COUNTRIES, AIRPORTS, CITIES, COMPANIES, DEPARTMENTS, EMPLOYEES, DEALS)
BATCH = 1000
IN_FLIGHT = 4

T = TypeVar("T")
Report = Callable[[str, int, int], None]


class LoadFailed(Exception):
    """Rows were refused; the message shows the first."""


class Loader:
    """Loads datasets; `report(what, done, total)` hears of progress."""

    def __init__(self, api: Api, report: Report, datasets: Sequence[Dataset] = DATASETS) -> None:
        self._api = api
        self._report = report
        self._datasets = datasets
        self._pipelines: dict[str, str] = {}
        self._ids: dict[str, dict[str, str]] = {}

    async def load(self) -> None:
        """People, pipelines, records and links; what is there is left alone."""
        await people.invite(self._api)
        self._pipelines = {item["slug"]: item["id"] async for item in self._api.pages("/pipelines")}
        await self._relationship_types()
        for dataset in self._datasets:
            await self._pipeline(dataset)
            await self._records(dataset)
            if dataset is COUNTRIES:
                await self._borders()

    async def _relationship_types(self) -> None:
        present = {item["name"] async for item in self._api.pages("/relationship-types")}
        if "borders" not in present:
            body = {"name": "borders", "inverse_name": "borders", "cardinality": "many_to_many", "on_delete": "unlink"}
            await self._api.post("/relationship-types", body)

    async def _pipeline(self, dataset: Dataset) -> None:
        if dataset.slug in self._pipelines:
            return
        made = await self._api.post(
            "/pipelines",
            {
                "name": dataset.name,
                "slug": dataset.slug,
                "description": dataset.description,
                "icon": dataset.icon,
                "schema_definition": {"fields": [self._field(field) for field in dataset.fields]},
            },
        )
        self._pipelines[dataset.slug] = made["id"]

    def _field(self, field: Field) -> Field:
        if field["type"] != "relation":
            return field
        return {**field, "target_pipeline": self._pipelines[field["target_pipeline"]]}

    async def _records(self, dataset: Dataset) -> None:
        rows = dataset.rows()
        if await self._count(dataset) < len(rows):
            await self._upsert(dataset, rows)
        self._report(dataset.name, len(rows), len(rows))
        if any(dataset.slug in other.links.values() for other in self._datasets):
            records = self._api.pages(self._path(dataset))
            self._ids[dataset.slug] = {record["data"][dataset.key]: record["id"] async for record in records}

    async def _upsert(self, dataset: Dataset, rows: Sequence[Row]) -> None:
        done = 0

        async def write(batch: Sequence[Row]) -> None:
            nonlocal done
            await self._write(dataset, batch)
            done += len(batch)
            self._report(dataset.name, done, len(rows))

        self._report(dataset.name, 0, len(rows))
        await _in_flight(write, _batches(rows))

    async def _write(self, dataset: Dataset, rows: Sequence[Row]) -> None:
        operations = [{"op": "upsert", "by": dataset.key, "data": self._data(dataset, row)} for row in rows]
        answer = await self._api.post(f"{self._path(dataset)}/batch", {"operations": operations, "atomic": False})
        if answer["failed"]:
            refused = next(result for result in answer["results"] if result.get("errors"))
            raise LoadFailed(f"{answer['failed']} rows of {dataset.name} were refused, such as {refused}")

    def _data(self, dataset: Dataset, row: Row) -> Row:
        linked = {name: self._ids[target][row[name]] for name, target in dataset.links.items()}
        return {name: value for name, value in {**row, **linked}.items() if value != ""}

    async def _borders(self) -> None:
        # Airports come after the borders: where one is, all borders are.
        if await self._count(AIRPORTS):
            return
        pairs = borders()
        done = 0

        async def link(pair: tuple[str, str]) -> None:
            nonlocal done
            await self._border(*pair)
            done += 1
            self._report("Borders", done, len(pairs))

        await _in_flight(link, pairs)

    async def _border(self, one: str, other: str) -> None:
        ids = self._ids[COUNTRIES.slug]
        target = {"target_pipeline": self._pipelines[COUNTRIES.slug], "target_record": ids[other]}
        try:
            path = f"{self._path(COUNTRIES)}/{ids[one]}/relationships"
            await self._api.post(path, {**target, "relationship_type": "borders"})
        except ApiError as error:
            if error.problem.get("type") != "/problems/duplicate-relationship":  # there already, from an earlier load
                raise

    async def _count(self, dataset: Dataset) -> int:
        if dataset.slug not in self._pipelines:
            return 0
        page = await self._api.get(self._path(dataset), {"limit": 1, "count": "exact"})
        return int(page["count"])

    def _path(self, dataset: Dataset) -> str:
        return f"/pipelines/{self._pipelines[dataset.slug]}/records"


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


async def _in_flight(work: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Work on the items in order, a few at a time."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(worker())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
