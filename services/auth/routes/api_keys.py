"""`/api-keys` and `/devices`: secrets that machines sign in by."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec
from litestar import Controller, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from libs.common import pages
from libs.common.clock import rfc3339
from libs.common.http import Input
from libs.common.identity import Principal
from libs.common.ids import parse_id
from libs.common.pages import Count, Page
from libs.common.permissions import Permissions
from services.auth.domain.api_keys import ApiKey, Kind
from services.auth.domain.roles import Catalogue, RoleName
from services.auth.routes.shapes import role_name
from services.auth.usecases import api_keys
from services.auth.usecases.context import Context


class KeyInput(Input):
    """A new key. It may do what its roles give, and that is nothing beyond what its maker may do."""

    name: str
    roles: Annotated[list[str], Meta(min_length=1, description="Ids or slugs of roles")]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyPatch(Input):
    """A key's new name."""

    name: str


class KeyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret; `prefix` is how the secret begins. `last_used_at` is exact to five minutes."""

    id: UUID
    name: str
    prefix: str
    roles: list[RoleName]
    created_by: UUID
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    last_used_address: str | None


class NewKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """A key just made; `key` is the secret, and is told now and never again."""

    key: str


class KeysController(Controller):
    """What both kinds of keys have in common."""

    kind: ClassVar[Kind]

    @get(summary="List keys")
    async def listed(
        self,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
        limit: FromQuery[int] = pages.DEFAULT_LIMIT,
        cursor: FromQuery[str | None] = None,
        count: FromQuery[Count] = "none",
    ) -> Page[KeyAnswer]:
        """One's own API keys, or all of them where one manages people; all devices."""
        limit, after = pages.check_limit(limit), pages.after_id(cursor)
        found = await api_keys.page(auth, principal, permissions, self.kind, after, limit + 1)
        total = await api_keys.count(auth, principal, permissions, self.kind) if count != "none" else None
        return pages.by_id(found.keys, limit, lambda it: it.id, lambda it: _answer(it, found.catalogue), total)

    @post(summary="Make a key", cache_control=CacheControlHeader(no_store=True))
    async def create(
        self,
        data: JSONBody[KeyInput],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> NewKeyAnswer:
        """Makes a key with roles that give nothing beyond what the one who asks may do. The secret is told once."""
        given = api_keys.NewKey(data.name, data.roles, data.expires_at)
        made = await api_keys.create(auth, principal, permissions, self.kind, given)
        told = msgspec.structs.asdict(_answer(made.keys[0], made.catalogue))
        return NewKeyAnswer(**told, key=made.secret)

    @get("/{key_id:str}", summary="Get a key")
    async def one(
        self,
        key_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> KeyAnswer:
        """One key, without its secret."""
        found = await api_keys.get(auth, principal, permissions, self.kind, parse_id(key_id))
        return _answer(found.keys[0], found.catalogue)

    @patch("/{key_id:str}", summary="Rename a key")
    async def rename(
        self,
        key_id: FromPath[str],
        data: JSONBody[KeyPatch],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> KeyAnswer:
        """Gives a key another name; what it may do and how long stays as it is."""
        found = await api_keys.rename(auth, principal, permissions, self.kind, parse_id(key_id), data.name)
        return _answer(found.keys[0], found.catalogue)

    @delete("/{key_id:str}", summary="End a key")
    async def remove(
        self,
        key_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """The key is worth nothing from now on, and what it was used for ends within a second."""
        await api_keys.delete(auth, principal, permissions, self.kind, parse_id(key_id))


class ApiKeysController(KeysController):
    """Keys that people make for their own programs."""

    path = "/api-keys"
    tags = ["API keys"]  # noqa: RUF012
    kind = "api_key"


class DevicesController(KeysController):
    """Keys of machines, which belong to the organization."""

    path = "/devices"
    tags = ["Devices"]  # noqa: RUF012
    kind = "device"


class ExchangeInput(Input):
    """A key, and where it is used."""

    key: Annotated[str, Meta(max_length=200)]
    address: Annotated[str, Meta(max_length=64)] | None = None


class ExchangeAnswer(msgspec.Struct, frozen=True):
    """An access token for `expires_in` seconds."""

    access_token: str
    expires_in: int


@post("/internal/api-keys/exchange", include_in_schema=False, status_code=200)
async def exchange(data: JSONBody[ExchangeInput], auth: NamedDependency[Context]) -> ExchangeAnswer:
    """An access token for a key, for the gateway."""
    return ExchangeAnswer(*await api_keys.exchange(auth, data.key, data.address))


def _answer(it: ApiKey, catalogue: Catalogue) -> KeyAnswer:
    return KeyAnswer(
        id=it.id,
        name=it.name,
        prefix=it.prefix,
        roles=[role_name(catalogue[role_id]) for role_id in it.roles if role_id in catalogue],
        created_by=it.created_by,
        created_at=rfc3339(it.created_at),
        expires_at=rfc3339(it.expires_at) if it.expires_at else None,
        last_used_at=rfc3339(it.last_used_at) if it.last_used_at else None,
        last_used_address=it.last_used_address,
    )
