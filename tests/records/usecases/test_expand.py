"""Expanding costs a query per relation and level, or none where relations hold one record; never one per record."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from services.records.storage import listing, records
from tests.records.support import Service


async def test_statements_do_not_grow_with_the_page(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of a hundred contacts with company and its country is as many statements as a page of one."""
    country = service.pipeline({"name": "name", "type": "text"})
    company = service.pipeline({"name": "name", "type": "text"}, relation("country", country))
    contact = service.pipeline(
        {"name": "name", "type": "text"}, relation("company", company), relation("friends", company, "many_to_many")
    )
    lands = [await service.client.create(country, {"name": f"c{i}"}) for i in range(3)]
    rows = [{"op": "create", "data": {"name": f"f{i}", "country": lands[i % 3]["id"]}} for i in range(20)]
    firms = [row["id"] for row in (await service.client.batch(company, rows))["results"]]
    people = [{"name": f"p{i}", "company": firms[i % 20], "friends": firms[i % 5 : i % 5 + 2]} for i in range(100)]
    await service.client.batch(contact, [{"op": "create", "data": data} for data in people])
    path = f"/pipelines/{contact}/records?sort=name&expand=company.country,friends&limit="
    await service.client.get(f"{path}1")
    counts: Counter[str] = Counter()

    def counted(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            counts[size] += 1
            return work(*args, **options)

        return call

    for module, name in ((listing, "page"), (records, "bodies")):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    pages = {}
    for size in ("1", "100"):
        pages[size] = (await service.client.get(path + size)).json()["items"]
    assert counts["1"] == counts["100"] == 4
    first = pages["100"][0]
    assert first["expanded"]["company"]["title"] == "f0"
    assert first["expanded"]["company"]["expanded"]["country"]["title"] == "c0"
    assert [friend["title"] for friend in first["expanded"]["friends"]] == ["f0", "f1"]


async def test_four_levels_are_one_statement(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four levels of relations to one record are in the statement of the page; a fifth is refused."""
    text = {"name": "name", "type": "text"}
    below = service.pipeline(text)
    names = ["world", "land", "town", "street"]
    ids = [(await service.client.create(below, {"name": "earth"}))["id"]]
    for name in names:
        below = service.pipeline(text, relation(name, below))
        rows = [{"op": "create", "data": {"name": f"{name}{i}", name: ids[i % len(ids)]}} for i in range(30)]
        ids = [row["id"] for row in (await service.client.batch(below, rows))["results"]]
    asked: list[str] = []

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            asked.append(name)
            return work(*args, **options)

        return call

    for module, name in ((listing, "written"), (listing, "page"), (records, "bodies")):
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    path = f"/pipelines/{below}/records"
    answer = await service.client.get(path, params={"expand": "street.town.land.world", "limit": 30})
    item = answer.json()["items"][7]
    for name, title in zip(reversed(names), ("town7", "land7", "world7", "earth"), strict=True):
        item = item["expanded"][name]
        assert item["title"] == title
    assert asked == ["written"]
    assert (await service.client.get(path, params={"expand": "street.town.land.world.x"})).status_code == 422


def relation(name: str, target: object, cardinality: str = "many_to_one") -> dict[str, Any]:
    """A relation field."""
    return {
        "name": name, "type": "relation", "target_pipeline": str(target), "relationship_type": f"to_{name}",
        "cardinality": cardinality,
    }  # fmt: skip
