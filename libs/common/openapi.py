"""What a service's OpenAPI document says beyond its handlers: problem documents, summaries, examples of bodies.

Examples stand in the service's `routes/examples.json`, as `"POST /path": body`, and those of answers in
`routes/answers.json`; one that is not there is made up from the schema. Routes that take filters say so in
`opt["filtered"]`. Routes whose errors are not problem documents say in `opt["errors"]` what content these have.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from libs.common import problems
from libs.common.closing import close

Document = dict[str, Any]
PREFIX: Final = "/api/v1"

_ALWAYS: Final = (400, 429, 503)
_SIGNED_IN: Final = (401, 403)
_BODY: Final = (413, 415, 422)
_KINDS: Final = {status: (kind, title) for kind, (status, title) in problems.STATUS.items()}
_SENTENCE: Final = re.compile(r"\.(?:\s|$)")
_CLAUSE: Final = re.compile(r"[,;:] ")
_MAX_SUMMARY: Final = 90
_PROBLEM: Final[Document] = {
    "type": "object",
    "title": "Problem",
    "description": "An error (RFC 9457). `type` names the kind for programs, `detail` tells it to people.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What is wrong with a body: where (JSON Pointer), which rule, and in words.",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "detail")},
                "required": ["pointer", "code", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
}
_FILTER: Final[Document] = {
    "name": "filter",
    "in": "query",
    "description": "Which records: a filter tree as JSON, or conditions that must all hold, written "
    "`filter[field]=value` and `filter[field][operator]=value`. Fields may be reached over relations: "
    "`filter[company.city]=Rome`.",
    "schema": {"type": "string"},
    "example": '{"or":[{"field":"amount","op":"gte","value":50},{"field":"stage","value":"won"}]}',
}
_FORMATS: Final = {
    "uuid": "0198f2b4-5c1e-7a3d-9b6f-2d4e8c0a1f35",
    "email": "ada@example.com",
    "date-time": "2026-03-14T09:26:53.589Z",
    "date": "2026-03-14",
}


def read_examples(service: str, of: str = "examples") -> Mapping[str, Any]:
    """The examples of a service's bodies, or of its `answers`, by method and path."""
    path = Path(__file__).parents[2] / "services" / service / "routes" / f"{of}.json"
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes()) if path.is_file() else {}
    return found


def complete(
    app: Litestar, document: Document, examples: Mapping[str, Any], answers: Mapping[str, Any] = MappingProxyType({})
) -> Document:
    """The document of an application, with all that can be told of every operation."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for path, method, handler in _handlers(app):
        operation = document.get("paths", {}).get(path, {}).get(method)
        if operation is None:
            continue
        if handler.summary is None and operation.get("description"):
            operation["summary"] = _summary(operation["description"])
        name = f"{method.upper()} {path.removeprefix(PREFIX)}"
        _errors(document["components"], path, method, operation, handler.opt.get("errors"))
        _answered(operation, answers.get(name))
        if handler.opt.get("filtered"):
            operation.setdefault("parameters", []).append(_FILTER)
        body = handler.parsed_data_field
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if body is not None and body.annotation is not Any:
                close(content.get("schema", {}), body.annotation, lambda it: resolve(it, document))
            content.setdefault("example", examples.get(name) or sample(content.get("schema", {}), document))
    schemas["Problem"] = _PROBLEM
    _loosen(document)
    return document


def _answered(operation: Document, example: Any) -> None:
    for status, response in operation["responses"].items():
        content = next(iter(response.get("content", {}).values()), None)
        if example is not None and content is not None and status.startswith("2"):
            content["example"] = example


def _loosen(value: Any) -> None:
    # The framework writes every union as `oneOf`, which an integer that is a number as well would fail.
    if isinstance(value, dict):
        if "oneOf" in value and "discriminator" not in value:
            value["anyOf"] = value.pop("oneOf")
        for item in value.values():
            _loosen(item)
    elif isinstance(value, list):
        for item in value:
            _loosen(item)


def _summary(description: str) -> str:
    """The first sentence, or as many of its clauses as fit into a line."""
    first = _SENTENCE.split(description, maxsplit=1)[0].replace("\n", " ")
    if len(first) <= _MAX_SUMMARY:
        return first
    ends = [clause.start() for clause in _CLAUSE.finditer(first) if clause.start() <= _MAX_SUMMARY]
    return first[: ends[-1] if ends else _MAX_SUMMARY]


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    yield route.path_format, method.lower(), handler


def _errors(components: Document, path: str, method: str, operation: Document, content: Document | None) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("400", None)  # The framework's own form of error, which nobody is answered.
    for status in _statuses(path, method, operation):
        kind, title = _KINDS[status]
        if content is not None:
            responses.setdefault(str(status), {"description": title, "content": content})
            continue
        name = "".join(part.title() for part in kind.split("-"))
        components.setdefault("responses", {}).setdefault(name, _response(kind, title, status))
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{name}"})


def _statuses(path: str, method: str, operation: Document) -> list[int]:
    parameters = operation.get("parameters", [])
    found = [*_ALWAYS]
    if {} not in operation.get("security", ()):
        found += _SIGNED_IN
    if "{" in path:
        found.append(404)
    if method != "get":
        found.append(409)
    if any(parameter.get("name", "").lower() == "if-match" for parameter in parameters):
        found += (412, 428)
    if "requestBody" in operation:
        found += _BODY
    elif any(parameter.get("in") == "query" for parameter in parameters):
        found.append(422)
    return sorted(found)


def _response(kind: str, title: str, status: int) -> Document:
    example: Document = {
        "type": f"/problems/{kind}",
        "title": title,
        "status": status,
        "detail": title,
        "instance": "/api/v1/pipelines",
        "request_id": "0198f2b4-5c1e-7a3d-9b6f-2d4e8c0a1f35",
    }
    if status == 422:
        example["errors"] = [{"pointer": "/data/amount", "code": "invalid_type", "detail": "a number is expected"}]
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    headers = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
    return {"description": title, "content": content, **({"headers": headers} if status in (429, 503) else {})}


def sample(schema: Document, document: Document) -> Any:
    """The least value that a schema allows."""
    schema = resolve(schema, document)
    for word in ("examples", "enum"):
        if schema.get(word):
            return schema[word][0]
    for word in ("const", "default"):
        if schema.get(word) is not None:
            return schema[word]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return sample(next(it for it in schema[word] if it != {"type": "null"}), document)
    return _least(schema, document)


def _least(schema: Document, document: Document) -> Any:
    kind = _kind(schema)
    if kind == "object":
        properties = schema.get("properties", {})
        wanted = schema.get("required") or list(properties)[:1]
        return {name: sample(properties[name], document) for name in wanted}
    if kind == "array":
        return [sample(schema["items"], document)] if schema.get("items") else []
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "text".ljust(schema.get("minLength", 0), "x"))
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return True if kind == "boolean" else None


def _kind(schema: Document) -> str:
    kind = schema.get("type", "object")
    return kind if isinstance(kind, str) else next(it for it in kind if it != "null")


def resolve(schema: Document, document: Document) -> Document:
    """What a reference within the document stands for."""
    while "$ref" in schema:
        found: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema
