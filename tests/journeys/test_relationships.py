"""Records that belong together, from the outside."""

import pytest

from tests.journeys.crm import make_pipeline, make_record, make_records, pages, relation, text, told
from tests.support.platform import Tenant

pytestmark = pytest.mark.journey


async def test_a_contact_is_created_with_a_relationship_to_a_company(tenant: Tenant) -> None:
    """A relationship named at creation exists with the record, and its type is made on first use."""
    api = tenant.client
    companies = await make_pipeline(api, "Companies", text("name"))
    contacts = await make_pipeline(api, "Contacts", text("name"))
    company = await make_record(api, companies, {"name": "Acme"})
    link = {"target_pipeline": companies["id"], "target_record": company["id"], "relationship_type": "works_at"}

    contact = await make_record(api, contacts, {"name": "Ada"}, link)

    types = [kind["name"] for kind in await pages(api, "/relationship-types")]
    assert types == ["works_at"]
    found = await pages(api, f"/records/{contact['id']}/traverse", path="works_at")
    assert [record["id"] for record in found] == [company["id"]]
    back = await pages(api, f"/records/{company['id']}/traverse", path="~works_at")
    assert [record["id"] for record in back] == [contact["id"]]


async def test_two_hops_lead_from_a_company_to_its_500_employees(tenant: Tenant) -> None:
    """Traversal over ten departments finds each of the 500 employees once."""
    api = tenant.client
    companies = await make_pipeline(api, "Companies", text("name"))
    departments = await make_pipeline(api, "Departments", text("name"), relation("company", companies, "belongs_to"))
    employees = await make_pipeline(api, "Employees", text("name"), relation("department", departments, "works_in"))
    company, other = await make_records(api, companies, [{"name": "Acme"}, {"name": "Other"}])
    places = await make_records(api, departments, [{"name": f"D{n}", "company": company} for n in range(10)])
    elsewhere = await make_records(api, departments, [{"name": "Elsewhere", "company": other}])
    people = await make_records(api, employees, [{"name": f"P{n}", "department": places[n % 10]} for n in range(500)])
    await make_records(api, employees, [{"name": "Stranger", "department": elsewhere[0]}])

    path = f"/records/{company}/traverse"
    found = await pages(api, path, path="belongs_to,works_in", limit=200)
    assert sorted(record["id"] for record in found) == sorted(people)
    page = told(await api.get(path, params={"path": "~belongs_to,~works_in", "count": "exact", "limit": 1}))
    assert page["count"] == 500
