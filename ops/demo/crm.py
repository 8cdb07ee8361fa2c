"""A small CRM to look around in: companies, their departments, the people there, and deals with them."""

import unicodedata
from itertools import cycle
from typing import Any

from ops.demo.datasets import Dataset, Row, number, relation, select, text

INDUSTRIES = {
    "aviation": "Aviation",
    "energy": "Energy",
    "food": "Food",
    "health": "Health",
    "logistics": "Logistics",
    "software": "Software",
    "steel": "Steel",
}
_COMPANIES = (
    ("Alpenglow Air", "aviation", "CH", 1200, 82),
    ("Baltic Steelworks", "steel", "EE", 3400, 64),
    ("Cedar & Salt Foods", "food", "LB", 260, 71),
    ("Delta Freight", "logistics", "NL", 5100, 93),
    ("Evergreen Energy", "energy", "NZ", 870, 55),
    ("Fjord Software", "software", "NO", 140, 88),
    ("Granada Health", "health", "ES", 2300, 47),
    ("Hokkaido Robotics", "software", "JP", 640, 76),
)
_DEPARTMENTS = ("Sales", "Finance", "Operations")
_PEOPLE = (
    "Amélie Roux", "Bashir Haddad", "Carlos Medina", "Dana Novak", "Emma Lindqvist", "Farid Aziz", "Greta Tamm",
    "Haruto Sato", "Ingrid Solberg", "Jonas Weber", "Kiri Ngata", "Lucía Ferrer", "Marek Kowalski", "Nadia Khoury",
    "Oskar Berg", "Priya Nair", "Quentin Favre", "Rosa Vidal", "Sven Jansen", "Tove Dahl", "Ulla Kask", "Viktor Saar",
    "Wiremu Tane", "Yuki Mori",
)  # fmt: skip
_POSITIONS = ("Head", "Analyst", "Coordinator")
_STAGES = ("new", "qualified", "proposal", "negotiation", "won", "lost")
_SUBJECTS = ("Pilot", "Renewal", "Rollout")


def companies() -> list[Row]:
    """A row per company."""
    return [
        {
            "name": name,
            "industry": industry,
            "country": country,
            "employees": employees,
            "score": score,
            "website": f"https://{_slug(name)}.example",
            "notes": "",
        }
        for name, industry, country, employees, score in _COMPANIES
    ]


def departments() -> list[Row]:
    """Three departments in each company."""
    return [
        {"name": f"{company[0]} {department}", "company": company[0]}
        for company in _COMPANIES
        for department in _DEPARTMENTS
    ]


def employees() -> list[Row]:
    """A person in each department."""
    places = zip(_PEOPLE, departments(), cycle(_POSITIONS), strict=False)
    return [
        {
            "name": name,
            "email": f"{_slug(name.split()[0])}@{_slug(department['company'])}.example",
            "position": position,
            "department": department["name"],
            "hired_on": f"20{15 + index % 10}-{1 + index % 12:02}-01",
            "active": index % 9 != 0,
        }
        for index, (name, department, position) in enumerate(places)
    ]


def deals() -> list[Row]:
    """Three deals with each company, spread over the stages."""
    pairs = [(company, subject) for company in _COMPANIES for subject in _SUBJECTS]
    return [
        {
            "name": f"{subject} at {company[0]}",
            "company": company[0],
            "stage": _STAGES[index % len(_STAGES)],
            "amount": 4000 + 1750 * index,
            "close_on": f"2027-{1 + index % 12:02}-15",
            "next_step": "",
        }
        for index, (company, subject) in enumerate(pairs)
    ]


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in plain if "a" <= letter <= "z")


def _stages() -> list[dict[str, Any]]:
    needed = {"won": ["amount"]}
    return [
        {"value": stage, "label": stage.capitalize(), "required_fields": needed.get(stage, [])} for stage in _STAGES
    ]


_NAME = text("name", "Name", required=True, unique=True, searchable=True)

COMPANIES = Dataset(
    slug="companies",
    name="Companies",
    description="Whom we do business with",
    icon="briefcase",
    key="name",
    fields=(
        _NAME,
        select("industry", "Industry", INDUSTRIES, indexed=True),
        relation("country", "Country", "countries", "based_in"),
        number("employees", "Employees", kind="integer", min=0),
        number("score", "Score", indexed=True),
        {"name": "website", "label": "Website", "type": "url"},
        {"name": "notes", "label": "Notes", "type": "textarea", "searchable": True},
    ),
    rows=companies,
)

DEPARTMENTS = Dataset(
    slug="departments",
    name="Departments",
    description="The parts of a company",
    icon="sitemap",
    key="name",
    fields=(_NAME, relation("company", "Company", "companies", "belongs_to", required=True)),
    rows=departments,
)

EMPLOYEES = Dataset(
    slug="employees",
    name="Employees",
    description="Whom we talk to",
    icon="user",
    key="email",
    fields=(
        text("name", "Name", required=True, searchable=True),
        {"name": "email", "label": "E-mail", "type": "email", "required": True, "unique": True, "searchable": True},
        text("position", "Position"),
        relation("department", "Department", "departments", "works_in"),
        {"name": "hired_on", "label": "Hired on", "type": "date"},
        {"name": "active", "label": "Active", "type": "boolean"},
    ),
    rows=employees,
)

DEALS = Dataset(
    slug="deals",
    name="Deals",
    description="What we hope to sell, by stage",
    icon="handshake",
    key="name",
    fields=(
        _NAME,
        relation("company", "Company", "companies", "deal_with", required=True),
        {"name": "stage", "label": "Stage", "type": "stage", "stages": _stages(), "required": True},
        number("amount", "Amount in €", min=0, indexed=True),
        {"name": "close_on", "label": "Expected close", "type": "date"},
        text("next_step", "Next step"),
    ),
    rows=deals,
)
