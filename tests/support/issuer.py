"""Stands in for auth on a real NATS: signs tokens, and answers the questions for keys and roles."""

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.bus import Bus
from libs.common.errors import NotFound, Unavailable
from libs.common.identity import AUDIENCE, ISSUER
from libs.common.ids import new_id
from libs.common.permissions import Grant, RoleGrants

KID = "test-key"
ALL = Grant("*", ("*",))


class _Who(msgspec.Struct):
    tenant_id: UUID
    id: UUID


class _Users(msgspec.Struct):
    tenant_id: UUID
    user_ids: list[UUID]
    names: list[str]


class _RoleQuestion(msgspec.Struct):
    tenant_id: UUID
    role_id: UUID


@dataclass
class Issuer:
    """One key, and roles as tests make them."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    roles: dict[tuple[UUID, UUID], RoleGrants] = field(default_factory=dict)
    standing: dict[UUID, tuple[UUID, ...] | None] = field(default_factory=dict)
    """The roles by now of those of whom more is known than their token tells; none where they were let go."""

    people: dict[UUID, str] = field(default_factory=dict)
    """The names of the users there are, whether or not an event has told of them."""
    locales: dict[UUID, str] = field(default_factory=dict)
    """The language tags of users."""
    asked: list[_Users] = field(default_factory=list)
    """The questions for them."""

    @property
    def jwks(self) -> list[dict[str, Any]]:
        """The public key, as auth publishes it."""
        document: dict[str, Any] = jwt.algorithms.OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return [{**document, "kid": KID, "alg": "EdDSA", "use": "sig"}]

    def role(self, tenant_id: UUID, grants: Iterable[Grant] = (ALL,), version: int = 1) -> UUID:
        """A role of a tenant."""
        role_id = new_id()
        self.roles[tenant_id, role_id] = RoleGrants(role_id, "test", "Test", version, tuple(grants))
        return role_id

    def token(self, tenant_id: UUID, *roles: UUID, seconds: float = 600, **claims: Any) -> str:
        """An access token of a new user with these roles."""
        now = time.time()
        payload = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": str(new_id()), "tid": str(tenant_id), "sid": str(new_id()),
            "kind": "user", "name": "Test", "roles": [str(role) for role in roles], "iat": now, "exp": now + seconds,
            "jti": str(new_id()),
        }  # fmt: skip
        return jwt.encode({**payload, **claims}, self.key, algorithm="EdDSA", headers={"kid": KID})

    def headers(self, tenant_id: UUID, *grants: Grant) -> dict[str, str]:
        """The header of a new user who has one role with these grants; without any, all is allowed."""
        return {"Authorization": f"Bearer {self.token(tenant_id, self.role(tenant_id, grants or (ALL,)))}"}

    def answer(self, bus: Bus) -> None:
        """Begins to answer as auth does."""

        async def keys(_: dict[str, Any]) -> dict[str, Any]:
            return {"keys": self.jwks}

        async def role(question: _RoleQuestion) -> RoleGrants:
            found = self.roles.get((question.tenant_id, question.role_id))
            if found is None:
                raise NotFound
            return found

        async def standing(question: _Who) -> dict[str, Any]:
            if question.id not in self.standing:
                raise Unavailable
            if (roles := self.standing[question.id]) is None:
                raise NotFound
            return {"roles": roles}

        async def users(question: _Users) -> dict[str, Any]:
            self.asked.append(question)
            names = {name.lower() for name in question.names}
            known = self.people.items()
            return {"users": [{"id": i, "name": n} for i, n in known if i in question.user_ids or n.lower() in names]}

        async def locale(question: dict[str, Any]) -> dict[str, str]:
            return {"locale": self.locales.get(UUID(question["user_id"]), "zxx")}

        bus.serve("rpc.auth.users", _Users, users)
        bus.serve("rpc.auth.locale", dict[str, Any], locale)
        bus.serve("rpc.auth.standing", _Who, standing)
        bus.serve("rpc.auth.jwks", dict[str, Any], keys)
        bus.serve("rpc.auth.role", _RoleQuestion, role)


@asynccontextmanager
async def issuing(nats_url: str) -> AsyncIterator[Issuer]:
    """An issuer that answers on this NATS until the block ends."""
    bus = Bus(nats_url, "test issuer")
    await bus.start()
    issuer = Issuer()
    issuer.answer(bus)
    await bus.ready()
    try:
        yield issuer
    finally:
        await bus.stop()
