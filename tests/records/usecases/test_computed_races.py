"""Whatever two writers do at once, computed values end as they are when computed from scratch."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.records.routes.test_computed import World
from tests.records.support import Service
from tests.support.waiting import eventually

Json = dict[str, Any]
Steps = list[tuple[str, int, int]]


steps = st.lists(
    st.tuples(
        st.sampled_from(["amount", "discount", "won", "move", "rename", "vat", "trash", "make", "add", "batch"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=4,
    max_size=10,
)


class Writer:
    """Does a row of operations on companies and deals that others work on as well."""

    def __init__(self, world: World, companies: list[Json], deals: list[Json]) -> None:
        self.world, self.companies, self.deals = world, companies, deals

    async def do(self, what: str, which: int, number: int) -> None:
        """One operation; what is in the trash already is not found, and what others hold is busy."""
        company, deal = self.companies[number % len(self.companies)], self.deals[which % len(self.deals)]
        at = f"/pipelines/{self.world.deals}/records"
        match what:
            case "amount" | "discount":
                await self._send("PATCH", f"{at}/{deal['id']}", {"data": {what: which * 10 + number}})
            case "won":
                await self._send("PATCH", f"{at}/{deal['id']}", {"data": {"won": number % 2 == 0}})
            case "move":
                target = None if number == 3 else company["id"]
                await self._send("PATCH", f"{at}/{deal['id']}", {"data": {"company": target}})
            case "rename" | "vat":
                value = {"rename": {"name": f"N{which}"}, "vat": {"vat": which}}[what]
                await self._send("PATCH", f"/pipelines/{self.world.companies}/records/{company['id']}", {"data": value})
            case "trash":
                await self._send("DELETE", f"{at}/{deal['id']}")
                await self._send("POST", f"{at}/{deal['id']}/restore")
            case "make":
                await self._send("POST", at, {"data": {"name": "new", "amount": which, "company": company["id"]}})
            case "add":
                await self._send("POST", f"{at}/{deal['id']}/increment", {"field": "amount", "by": number})
            case "batch":
                data = {"amount": number, "company": company["id"]}
                operations = [{"op": "update", "id": it["id"], "data": data} for it in self.deals]
                await self._send("POST", f"{at}/batch", {"operations": operations})

    async def _send(self, method: str, path: str, body: Json | None = None) -> None:
        answer = await self.world.client.call(method, path, json=body)
        assert answer.status_code in (200, 201, 204, 404, 409, 422), answer.text


@settings(max_examples=8)
@given(steps, steps)
def test_any_operations_of_two_writers_end_right(
    loop: tuple[asyncio.Runner, Service], one: Steps, other: Steps
) -> None:
    """Whatever two do at once to a small graph, at the end each value is what it is when computed from scratch."""
    runner, service = loop
    runner.run(_play(service, one, other))


async def _play(service: Service, one: Steps, other: Steps) -> None:
    world = await World(service).begin()
    companies = [await world.company(name=name) for name in "ABC"]
    deals = [await world.deal(companies[i % 3], amount=i) for i in range(4)]

    async def work(todo: Steps) -> None:
        writer = Writer(world, companies, deals)
        for step in todo:
            await writer.do(*step)

    await asyncio.gather(work(one), work(other))

    async def right() -> bool:
        return await world.faults() == []

    try:
        await eventually(right)
    except AssertionError:
        assert await world.faults() == []
