from typing import Any

from libs.common.permissions import Grant
from tests.pipelines.conftest import NAME, Json, Service, faults

AMOUNT = {"name": "amount", "type": "number"}
WON = {"name": "won", "type": "boolean"}


def formula(expression: str, **more: Any) -> Json:
    """A formula."""
    return {"name": "made", "type": "formula", "expression": expression, **more}


def company(target: Json) -> Json:
    """A relation of deals to companies."""
    link = {"relationship_type": "belongs_to", "target_pipeline": target["id"]}
    return {"name": "company", "type": "relation", **link}


def rollup(**more: Any) -> Json:
    """The sum of the amounts of those who point here."""
    return {"name": "total", "type": "rollup", "relation": "inverse_of_belongs_to", "function": "sum", **more}


async def world(service: Service) -> tuple[Json, Json]:
    """Companies, and deals that belong to them."""
    companies = await service.create("Companies", NAME, {"name": "vat", "type": "number"})
    return companies, await service.create("Deals", NAME, AMOUNT, WON, company(companies))


async def add(service: Service, pipeline: Json, field: Json, status: int = 201) -> Json:
    """The answer to a new field."""
    answer = await service.client.post(f"/pipelines/{pipeline['id']}/fields", json=field)
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def field(service: Service, pipeline: Json, name: str) -> Json:
    """A field as it is defined now."""
    found: Json = next(it for it in (await service.read(pipeline))["schema_definition"]["fields"] if it["name"] == name)
    return found


async def test_types_follow(service: Service) -> None:
    """The type of what is computed is told: of a formula, of a lookup, of a rollup, also of one beside another."""
    companies, deals = await world(service)
    await add(service, companies, rollup(field="amount", filter={"field": "won", "value": True}))
    await add(service, companies, formula("total * (1 + vat / 100)"))
    await add(service, deals, {"name": "firm", "type": "lookup", "relation": "company", "field": "name"})
    await add(service, deals, {"name": "share", "type": "lookup", "relation": "company", "field": "made"})
    total = await field(service, companies, "total")
    assert (total["result_type"], total["inverse"], total["relationship_type"]) == ("number", True, "belongs_to")
    assert total["target_pipeline"] == deals["id"]
    assert (await field(service, companies, "made"))["result_type"] == "number"
    firm = await field(service, deals, "firm")
    assert (firm["result_type"], firm["multiple"]) == ("text", False)


async def test_faults_say_where(service: Service) -> None:
    """An expression that cannot be is refused with code and position."""
    deals = await service.create("Deals", NAME, AMOUNT)
    for expression, code, place in (
        ("amount + naem", "unknown_name", "position 10"),
        ("name + 1", "wrong_type", "position 1"),
        ("amount * now()", "unknown_function", "position 10"),
        ("round()", "wrong_arguments", "position 1"),
        ("amount *", "invalid_syntax", "position 9"),
    ):
        refused = await add(service, deals, formula(expression), 422)
        (fault,) = refused["errors"]
        assert fault["code"] == code
        assert place in fault["detail"]
    mismatch = await add(service, deals, formula("amount", result_type="text"), 422)
    assert faults(mismatch) == {("/result_type", "mismatch")}


async def test_circles_over_pipelines_are_refused(service: Service) -> None:
    """The fault names the fields that would follow from each other."""
    companies, deals = await world(service)
    await add(service, companies, rollup(field="amount"))
    await add(service, deals, {"name": "of_all", "type": "lookup", "relation": "company", "field": "total"})
    await add(service, deals, formula("amount / of_all"))
    share = {"name": "shares", "type": "rollup", "relation": "inverse_of_belongs_to", "function": "sum"}
    await add(service, companies, {**share, "field": "made"})
    fields = (await service.read(companies))["schema_definition"]["fields"]
    told = [{**it, "field": "made"} if it["name"] == "total" else it for it in fields]
    refused = await service.patch(f"/pipelines/{companies['id']}", {"schema_definition": {"fields": told}}, 422)
    (fault,) = refused["errors"]
    assert fault["code"] == "cycle"
    assert "deals.of_all → companies.total → deals.made → deals.of_all" in fault["detail"] or (
        "companies.total → deals.made → deals.of_all → companies.total" in fault["detail"]
    )


async def test_what_is_looked_at_stays(service: Service) -> None:
    """A field that others look at cannot be removed."""
    companies, deals = await world(service)
    await add(service, companies, rollup(field="amount"))
    gone = await service.client.delete(f"/pipelines/{deals['id']}/fields/amount")
    assert (gone.status_code, gone.json()["type"]) == (409, "/problems/in-use")
    assert "companies.total" in gone.json()["detail"]
    used = await service.client.delete(f"/pipelines/{deals['id']}/fields/company")
    assert used.status_code == 204
    await add(service, companies, formula("vat * 2"))
    named = await service.client.delete(f"/pipelines/{companies['id']}/fields/vat")
    assert named.status_code == 409


async def test_rollups_do_not_follow_time(service: Service) -> None:
    """A filter that speaks of now or of who asks is refused, as is one of unknown fields."""
    companies, deals = await world(service)
    await add(service, deals, {"name": "due", "type": "date"})
    for tree, code in (
        ({"field": "due", "op": "lt", "value": "today"}, "not_applicable"),
        ({"field": "nothing", "value": 1}, "unknown_field"),
    ):
        refused = await add(service, companies, rollup(field="amount", filter=tree), 422)
        assert refused["errors"][0]["code"] == code


async def test_nobody_computes_what_they_cannot_read(service: Service) -> None:
    """To who may not read a field it is not there for formulas, lookups and rollups either."""
    companies, deals = await world(service)
    every = Grant("pipelines", ("*",))
    read = Grant("records", ("read",), readable_fields=frozenset({"name"}))
    some = service.user(every, read)
    answer = await service.client.post(
        f"/pipelines/{companies['id']}/fields", json=rollup(field="amount"), headers=some
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_name")
    answer = await service.client.post(f"/pipelines/{deals['id']}/fields", json=formula("amount"), headers=some)
    assert answer.status_code == 422


async def test_a_new_computation_asks_records_to_follow(service: Service) -> None:
    """A changed expression is a job of records; its type follows anew."""
    deals = await service.create("Deals", NAME, AMOUNT, formula("amount * 2"))
    changed = await service.patch(f"/pipelines/{deals['id']}/fields/made", {"expression": "name & '!'"})
    assert changed["result_type"] == "text"


async def test_a_copy_leaves_out_who_points_at_the_original(service: Service) -> None:
    """What is computed of others that point at a pipeline is not in its copy, nor what follows from it."""
    companies, _ = await world(service)
    await add(service, companies, rollup(field="amount"))
    await add(service, companies, formula("total * 2"))
    answer = await service.client.post(f"/pipelines/{companies['id']}/clone", json={"name": "Copy"})
    assert answer.status_code == 201
    assert [it["name"] for it in answer.json()["schema_definition"]["fields"]] == ["name", "vat"]


async def test_functions_are_told(service: Service) -> None:
    """The types of fields tell what formulas are made of."""
    items = (await service.client.get("/field-types")).json()["items"]
    told = next(it for it in items if it["type"] == "formula")
    assert {"if", "coalesce", "round", "add_days"} <= {it["name"] for it in told["functions"]}
    assert "expression" in told["options"]["required"]
