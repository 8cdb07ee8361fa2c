"""Reading the merged OpenAPI document: its operations, and the least body that each of them takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.journeys.crm import Json, told
from tests.support.waiting import eventually

METHODS = ("get", "post", "put", "patch", "delete")
OF_EACH_SERVICE = frozenset(f"/api/v1/{path}" for path in ("roles", "pipelines", "jobs", "webhooks"))
SENT_AS = {"application/json": "json", "application/x-www-form-urlencoded": "data"}
_FORMATS = {
    "uuid": "00000000-0000-7000-8000-000000000000",
    "email": "someone@example.com",
    "date-time": "2026-01-01T00:00:00.000Z",
    "date": "2026-01-01",
}
_EMPTY: Mapping[str, Any] = {"object": {}, "array": [], "string": "text", "integer": 1, "number": 1, "boolean": True}


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    declared: Json
    document: Json

    @property
    def parameters(self) -> list[str]:
        """The names in the path, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def is_open(self) -> bool:
        """Whether it needs no token."""
        return {} in self.declared.get("security", ())

    @property
    def endless(self) -> bool:
        """Whether its answer goes on for as long as one listens."""
        return any("text/event-stream" in it.get("content", {}) for it in self.declared.get("responses", {}).values())

    @property
    def content(self) -> Json:
        """The least body as the client's argument; nothing where none is declared."""
        content = self.declared.get("requestBody", {}).get("content", {})
        for media_type, argument in SENT_AS.items():
            if media_type in content:
                return {argument: example(content[media_type]["schema"], self.document)}
        return {}

    @property
    def taken(self) -> set[str]:
        """The names that may stand in its query."""
        declared = (self._resolve(parameter) for parameter in self.declared.get("parameters", ()))
        return {parameter["name"] for parameter in declared if parameter["in"] == "query"}

    @property
    def query(self) -> Json:
        """The least query."""
        declared = (self._resolve(parameter) for parameter in self.declared.get("parameters", ()))
        return {
            parameter["name"]: example(parameter["schema"], self.document)
            for parameter in declared
            if parameter["in"] == "query" and parameter.get("required")
        }

    def _resolve(self, item: Json) -> Json:
        return resolve(item, self.document)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


async def operations(url: str) -> list[Operation]:
    """Every operation of the platform at this gateway, but for those whose answer does not end."""
    document: Json = {}

    async def whole() -> bool:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            document.update(told(await client.get("/openapi.json")))
        return document["paths"].keys() >= OF_EACH_SERVICE

    await eventually(whole, 60)
    return [operation for operation in _operations(document) if not operation.endless]


def _operations(document: Json) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(method, path, item[method], document)


def resolve(schema: Json, document: Json) -> Json:
    """What a reference stands for."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def example(schema: Json, document: Json) -> Any:
    """The least value that a schema allows."""
    schema = resolve(schema, document)
    for word in ("const", "default", "enum"):
        if schema.get(word) is not None:
            return schema["enum"][0] if word == "enum" else schema[word]
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return example(next(option for option in schema[word] if option != {"type": "null"}), document)
    kind = schema.get("type", "object")
    kind = kind if isinstance(kind, str) else next(name for name in kind if name != "null")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example(properties[name], document) for name in schema.get("required", ())}
    if kind == "array":
        return [example(schema["items"], document)] * schema.get("minItems", 0)
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text")
    least = schema.get("minimum", _EMPTY[kind])
    return int(least) if kind == "integer" else least
