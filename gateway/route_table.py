"""The route table: which service answers which path, who may come, and which bounds hold.

Patterns are prefixes below `/api/v1/`; `*` stands for one segment. The first match wins.
"""

from enum import StrEnum
from typing import Final

import msgspec

MIB: Final = 1024 * 1024


class Access(StrEnum):
    """Who may come: a principal with a valid token, or anyone (the service decides)."""

    PRINCIPAL = "principal"
    ANYONE = "anyone"


class Limit(StrEnum):
    """The rate limit class of a route."""

    COMMON = "common"
    SIGN_IN = "sign-in"
    SOCKET = "socket"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table. `body_bytes` bounds the request body, `answer_seconds` the wait for the answer's head.

    What `waits` for something to happen, for as long as the client likes, is counted apart from what works.
    """

    pattern: str
    service: str
    access: Access = Access.PRINCIPAL
    limit: Limit = Limit.COMMON
    body_bytes: int = 0
    answer_seconds: float = 30.0
    socket: bool = False
    waits: bool = False


def _auth(pattern: str, access: Access = Access.PRINCIPAL, limit: Limit = Limit.COMMON) -> Route:
    return Route(pattern=pattern, service="auth", access=access, limit=limit)


def _records(pattern: str, body_bytes: int = 0, answer_seconds: float = 30.0) -> Route:
    return Route(pattern=pattern, service="records", body_bytes=body_bytes, answer_seconds=answer_seconds)


def _to(service: str, *patterns: str) -> tuple[Route, ...]:
    return tuple(Route(pattern=pattern, service=service) for pattern in patterns)


ROUTES: Final[tuple[Route, ...]] = (
    _auth("auth/login", Access.ANYONE, Limit.SIGN_IN),
    _auth("auth/signup", Access.ANYONE, Limit.SIGN_IN),
    _auth("auth/mfa/verify", Access.ANYONE, Limit.SIGN_IN),
    _auth("auth/password", Access.ANYONE, Limit.SIGN_IN),
    _auth("auth", Access.ANYONE),
    _auth(".well-known", Access.ANYONE),
    *_to(
        "auth", "users", "roles", "permissions", "sessions", "mfa", "passkeys", "sso", "api-keys", "devices",
        "organizations", "invitations", "admin", "compliance", "scim",
    ),
    _records("pipelines/*/records/batch", body_bytes=32 * MIB, answer_seconds=120),
    _records("pipelines/*/records"),
    _records("pipelines/*/imports", body_bytes=1024 * MIB, answer_seconds=300),
    _records("pipelines/*/files", body_bytes=257 * MIB, answer_seconds=300),
    _records("pipelines/*/exports", answer_seconds=120),
    _records("pipelines/*/duplicates", answer_seconds=60),
    _records("pipelines/*/view-links"),
    _records("pipelines/*/forms"),
    Route(pattern="shared", service="records", access=Access.ANYONE),
    Route(pattern="forms", service="records", access=Access.ANYONE, limit=Limit.SIGN_IN),
    *_to("pipelines", "pipelines", "relationship-types", "pipeline-templates", "field-types"),
    *_to("records", "records", "search", "analytics", "imports", "exports", "jobs"),
    Route(pattern="ws/tickets", service="realtime"),
    Route(pattern="ws", service="realtime", access=Access.ANYONE, limit=Limit.SOCKET, socket=True),
    Route(pattern="changes", service="realtime", waits=True),
    Route(pattern="notifications/unsubscribe", service="realtime", access=Access.ANYONE, limit=Limit.SIGN_IN),
    *_to("realtime", "webhooks", "notifications"),
)  # fmt: skip

SERVICES: Final = ("auth", "pipelines", "records", "realtime")


class RouteTable:
    """Finds the row for the segments below `/api/v1/`."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._by_first: dict[str, list[tuple[int, list[tuple[int, str]], Route]]] = {}
        for route in routes:
            parts = route.pattern.split("/")
            fixed = [(place, part) for place, part in enumerate(parts) if part != "*" and place]
            self._by_first.setdefault(parts[0], []).append((len(parts), fixed, route))

    def find(self, segments: list[str]) -> Route | None:
        """The first row whose pattern is a prefix of the path."""
        count = len(segments)
        for length, fixed, route in self._by_first.get(segments[0], ()):
            if count >= length:
                for place, part in fixed:
                    if segments[place] != part:
                        break
                else:
                    return route
        return None
