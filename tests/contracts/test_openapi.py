"""The merged OpenAPI document tells of every operation what it is, what may go wrong, and what a body looks like."""

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from gateway.answers.openapi import merge
from gateway.route_table import SERVICES, RouteTable
from libs.common import settings
from libs.common.openapi import resolve

ROOT = Path(__file__).parents[2]
# Nothing is there: a document is made without asking anybody.
ENVIRONMENT = {
    "PORT": "1",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "NATS_URL": "nats://127.0.0.1:1",
    "FILES_URL": "file:///nowhere",
    "SIGNING_KEY_SECRET": "sixteen characters",
    "SEALING_SECRET": "sixteen characters",
}
METHODS = ("get", "post", "put", "patch", "delete")

Json = dict[str, Any]


async def told(service: str) -> Json:
    """The document of a service."""
    module = importlib.import_module(f"services.{service}.main")
    given = settings.load(importlib.import_module(f"services.{service}.settings").Settings, ENVIRONMENT)
    transport = httpx.ASGITransport(module.build(given))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        document: Json = (await client.get("/openapi.json")).json()
    return document


@pytest.fixture(scope="module")
def document() -> Json:
    """What the gateway makes of all four."""
    return merge({service: asyncio.run(told(service)) for service in SERVICES}, RouteTable(), "0.1.0")


def operations(document: Json) -> dict[str, Json]:
    """The operations, by method and path."""
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}": item[method]
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def bodies(document: Json) -> dict[str, tuple[Json, Any]]:
    """The schema and the example of each body."""
    return {
        name: (content["schema"], content["example"])
        for name, operation in operations(document).items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    }


def test_every_operation_says_what_it_does(document: Json) -> None:
    """Each has a summary of more than the handler's name, on one line, and a description that ends in a full stop."""
    for name, operation in operations(document).items():
        summary, description = operation.get("summary", ""), operation.get("description", "")
        assert 5 <= len(summary) <= 90, (name, summary)
        assert "\n" not in summary, name
        assert description.endswith((".", "`")), (name, description)


def test_every_operation_says_what_may_go_wrong(document: Json) -> None:
    """Each names its refusals: who may not, what is not there, what is not valid, and when to come back."""
    for name, operation in operations(document).items():
        responses = {status: resolve(response, document) for status, response in operation["responses"].items()}
        wanted = {"400", "429", "503"}
        wanted |= set() if {} in operation.get("security", ()) else {"401", "403"}
        wanted |= {"404"} if "{" in name else set()
        wanted |= {"413", "415", "422"} if "requestBody" in operation else set()
        assert wanted <= responses.keys(), (name, wanted - responses.keys())
        media = "application/scim+json" if " /scim/" in name else "application/problem+json"
        assert [media] * len(wanted) == [next(iter(responses[status]["content"])) for status in sorted(wanted)], name


def test_examples_of_problems_are_problems(document: Json) -> None:
    """The example of each kind of error fits the schema of problem documents and its own status."""
    for response in document["components"]["responses"].values():
        content = response["content"]["application/problem+json"]
        assert faults(content["schema"], content["example"], document) == []
        assert content["example"]["title"] == response["description"]


def test_every_body_has_an_example_that_is_valid(document: Json) -> None:
    """The example of each body fits the schema of that body."""
    found = {name: faults(schema, example, document) for name, (schema, example) in bodies(document).items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_every_answer_of_pipelines_and_records_has_an_example_that_is_valid(document: Json) -> None:
    """Each operation shows an answer that a running platform gave, and that fits the schema of the answer."""
    shown: dict[str, Json] = {}
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            content = response.get("content", {}) if status.startswith("2") else {}
            for kind, described in content.items():
                if kind.endswith("json") and described.get("schema"):
                    shown[name] = described
    given: Json = {}
    for service in ("pipelines", "records"):
        given |= json.loads((ROOT / "services" / service / "routes" / "answers.json").read_text())
    found = {name: faults(shown[name]["schema"], example, document) for name, example in given.items()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert given == {name: shown[name]["example"] for name in given}
    other = ("/pipeline", "/records", "/search", "/analytics", "/imports", "/exports", "/relationship-types", "/jobs")
    assert {name for name in shown if name.partition(" ")[2].startswith(other)} - given.keys() == set()


def test_lists_that_take_filters_say_so(document: Json) -> None:
    """Lists, aggregates and exports of records have `filter` among their parameters."""
    filtered = {
        name
        for name, operation in operations(document).items()
        if any(parameter.get("name") == "filter" for parameter in operation.get("parameters", ()))
    }
    below = "/pipelines/{pipeline_id}"
    lists = {f"GET {below}/records", f"GET {below}/records/aggregate", f"GET {below}/exports", f"POST {below}/exports"}
    assert filtered == lists


@pytest.mark.parametrize("service", SERVICES)
def test_examples_are_of_bodies_that_there_are(document: Json, service: str) -> None:
    """Each example that a service gives is shown in the document, with the operation that it names."""
    given = json.loads((ROOT / "services" / service / "routes" / "examples.json").read_text())
    shown = {name: example for name, (_, example) in bodies(document).items()}
    assert given == {name: shown.get(name) for name in given}


def test_every_reference_leads_somewhere(document: Json) -> None:
    """No reference of the merged document points at nothing."""
    for reference in references(document):
        resolve({"$ref": reference}, document)


def references(value: Any) -> set[str]:
    """All references within a document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(item) for item in value.values()))
    return set().union(*(references(item) for item in value)) if isinstance(value, list) else set()


def faults(schema: Json, value: Any, document: Json) -> list[str]:
    """What a value has wrong by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_bodies_say_that_they_refuse_what_they_do_not_name(document: Json) -> None:
    """Only bodies whose members are judged by something else than their shape take others, so far as this is told."""
    taken = {
        name
        for name, (schema, _) in bodies(document).items()
        for option in resolve(schema, document).get("anyOf", [schema])
        if resolve(option, document).get("type") == "object"
        and resolve(option, document).get("additionalProperties") is not False
    }
    fields = {"POST /pipelines/{pipeline_id}/fields", "PATCH /pipelines/{pipeline_id}/fields/{field}"}
    assert {name for name in taken if " /scim/" not in name} == {*fields, "POST /auth/sso/{provider_id}/acs"}
    nested = resolve(bodies(document)["POST /roles"][0], document)["properties"]["grants"]["items"]
    assert resolve(nested, document)["additionalProperties"] is False
