"""`/openapi.json`: the services' OpenAPI documents as one.

Each service is believed about its own routes only. Two components of one name that differ are told apart by
the service's name, and the references to them follow.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.answers.operating import only_get
from gateway.exchange import Exchange
from gateway.route_table import RouteTable
from gateway.upstream.ask import ask
from gateway.upstream.balance import Service
from libs.common.errors import Unavailable

FRESH_SECONDS = 5.0
Document = dict[str, Any]


class OpenApi:
    """Merges what the services say; one that is away is shown as it was last seen."""

    def __init__(self, services: Mapping[str, Service], table: RouteTable, version: str) -> None:
        self._services = services
        self._table = table
        self._version = version
        self._seen: dict[str, Document] = {}
        self._merged = b""
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def __call__(self, exchange: Exchange) -> None:
        """The merged document."""
        only_get(exchange)
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now > self._until:
                await asyncio.gather(*(self._look(service) for service in self._services.values()))
                self._merged = msgspec.json.encode(merge(self._seen, self._table, self._version))
                self._until = now + FRESH_SECONDS
        await exchange.answer(200, [(b"content-type", b"application/json")], self._merged)

    async def _look(self, service: Service) -> None:
        try:
            status, body = await ask(service, "/openapi.json")
            if status == 200:
                self._seen[service.name] = msgspec.json.decode(body, type=Document)
        except (Unavailable, msgspec.MsgspecError):
            return


def merge(documents: Mapping[str, Document], table: RouteTable, version: str) -> Document:
    """One document out of each service's."""
    merged: Document = {
        "openapi": "3.1.0",
        "info": {"title": "Millrace", "version": version},
        "servers": [{"url": "/"}],
        "paths": {},
        "components": {},
    }
    operations: set[str] = set()
    for service in sorted(documents):
        document = _renamed(documents[service], _clashes(merged, documents[service], service))
        for section, items in document.get("components", {}).items():
            merged["components"].setdefault(section, {}).update(items)
        for path, item in document.get("paths", {}).items():
            if _owns(table, service, path):
                known = merged["paths"].setdefault(path, {})
                known.update({key: value for key, value in item.items() if key not in known})
                _tell_apart(item, service, operations)
        if security := document.get("security"):
            merged["security"] = security
    merged["paths"] = dict(sorted(merged["paths"].items()))
    return merged


def _owns(table: RouteTable, service: str, path: str) -> bool:
    segments = path.removeprefix("/api/v1").strip("/").split("/")
    route = table.find(segments)
    return route is not None and route.service == service


def _tell_apart(item: Document, service: str, operations: set[str]) -> None:
    for operation in item.values():
        if isinstance(operation, dict) and (name := operation.get("operationId")):
            if name in operations:
                operation["operationId"] = f"{service}_{name}"
            operations.add(operation["operationId"])


def _clashes(merged: Document, document: Document, service: str) -> dict[str, str]:
    """References that must change, old to new."""
    return {
        f"#/components/{section}/{name}": f"#/components/{section}/{service.title()}{name}"
        for section, name, value in _components(document)
        if merged["components"].get(section, {}).get(name, value) != value
    }


def _components(document: Document) -> Iterator[tuple[str, str, Any]]:
    for section, items in document.get("components", {}).items():
        for name, value in items.items():
            yield section, name, value


def _renamed(document: Document, references: Mapping[str, str]) -> Document:
    """The document with its clashing components under their new names."""
    changed: Document = _follow(document, references)
    for section, items in changed.get("components", {}).items():
        for name in list(items):
            if (new := references.get(f"#/components/{section}/{name}")) is not None:
                items[new.rpartition("/")[2]] = items.pop(name)
    return changed


def _follow(value: Any, references: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _follow(item, references) for key, item in value.items()}
    if isinstance(value, list):
        return [_follow(item, references) for item in value]
    return references.get(value, value) if isinstance(value, str) else value
