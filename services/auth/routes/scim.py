"""`/scim/v2`: provisioning by a directory elsewhere (SCIM 2.0)."""

from typing import Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from scim2_models import Context as ScimContext
from scim2_models import (
    InvalidFilterException,
    InvalidSyntaxException,
    ListResponse,
    NotFoundException,
    NotImplementedException,
    ResourceType,
    Schema,
    SearchRequest,
)

from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.auth.domain import scim as rules
from services.auth.domain.scim import MAX_FILTER, MAX_OPERATIONS, PROVIDER, ScimGroup, ScimUser
from services.auth.routes.scim_answers import (
    ERRORS,
    HANDLERS,
    PATH,
    answer,
    found,
    listed,
    located,
    named,
    of_schema,
    of_type,
)
from services.auth.routes.shapes import origin_of
from services.auth.usecases import scim, scim_groups
from services.auth.usecases.context import Context
from services.auth.usecases.scim import Caller

_PLURAL = frozenset(("attributes", "excludedAttributes"))

_Request = Request[Any, Any, Any]


def _caller(
    request: _Request, principal: NamedDependency[Principal], permissions: NamedDependency[Permissions]
) -> Caller:
    return Caller(principal, permissions, f"{origin_of(request)}{PATH}")


class ScimController(Controller):
    """People and roles for a directory elsewhere. It takes a role that manages users, best that of an API key."""

    path = "/scim/v2"
    tags = ["Provisioning"]  # noqa: RUF012
    exception_handlers = HANDLERS
    opt = {"errors": ERRORS}  # noqa: RUF012
    dependencies = {"by": Provide(_caller, sync_to_thread=False)}  # noqa: RUF012

    @get("/ServiceProviderConfig", summary="What of SCIM is supported")
    async def config(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Filters, patches, sorting and versions are; bulk operations and passwords are not."""
        return answer(located(rules.CONFIG.model_copy(deep=True), request, "ServiceProviderConfig"))

    @get("/ResourceTypes", summary="What is provisioned")
    async def types(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Users and Groups."""
        return listed([of_type(it, request) for it in PROVIDER.resource_types], ResourceType)

    @get("/ResourceTypes/{resource_type:str}", summary="A kind of what is provisioned")
    async def one_type(
        self, request: _Request, resource_type: FromPath[str], principal: NamedDependency[Principal]
    ) -> Response[bytes]:
        """`User` or `Group`."""
        return answer(named([of_type(it, request) for it in PROVIDER.resource_types], resource_type))

    @get("/Schemas", summary="The attributes of what is provisioned")
    async def schemas(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Others are taken and left out."""
        return listed([of_schema(it, request) for it in PROVIDER.schemas], Schema)

    @get("/Schemas/{schema_urn:str}", summary="The attributes of Users or Groups")
    async def one_schema(
        self, request: _Request, schema_urn: FromPath[str], principal: NamedDependency[Principal]
    ) -> Response[bytes]:
        """By the URN of the schema."""
        return answer(named([of_schema(it, request) for it in PROVIDER.schemas], schema_urn))

    @get("/Users", summary="Find users")
    async def users(
        self, request: _Request, auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """By `filter`, `sortBy`, `sortOrder`, `startIndex`, `count`, `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimUser])
        return found(await scim.find_users(auth, by, asked), asked, ListResponse[ScimUser])

    @post("/Users", summary="Provision a user")
    async def create_user(
        self, data: JSONBody[dict[str, Any]], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """A member, who joins at the organization's identity provider, or else by an invitation."""
        return answer(await scim.create_user(auth, by, _body(data)), 201)

    @get("/Users/{user_id:str}", summary="Get a user")
    async def user(
        self, request: _Request, user_id: FromPath[str], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """With `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimUser])
        return answer(await scim.get_user(auth, by, user_id), request=request, asked=asked)

    @put("/Users/{user_id:str}", summary="Replace a user")
    async def replace_user(
        self,
        request: _Request,
        user_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        by: NamedDependency[Caller],
    ) -> Response[bytes]:
        """`active: false` ends the user's sessions."""
        body = _body(data)
        return answer(await scim.replace_user(auth, by, user_id, body, request.headers.get("if-match")))

    @patch("/Users/{user_id:str}", summary="Patch a user")
    async def patch_user(
        self,
        request: _Request,
        user_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        by: NamedDependency[Caller],
    ) -> Response[bytes]:
        """By operations (RFC 7644 §3.5.2). `active: false` ends the user's sessions."""
        body = _body(data)
        return answer(await scim.patch_user(auth, by, user_id, body, request.headers.get("if-match")))

    @delete("/Users/{user_id:str}", summary="Take a user out")
    async def delete_user(
        self, request: _Request, user_id: FromPath[str], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> None:
        """Deletes the account and ends its sessions."""
        await scim.delete_user(auth, by, user_id, request.headers.get("if-match"))

    @get("/Groups", summary="Find groups")
    async def groups(
        self, request: _Request, auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """Roles with who has them, found as users are."""
        asked = _search(request, SearchRequest[ScimGroup])
        return found(await scim_groups.find_groups(auth, by, asked), asked, ListResponse[ScimGroup])

    @post("/Groups", summary="Provision a group")
    async def create_group(
        self, data: JSONBody[dict[str, Any]], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """A role that gives nothing until somebody grants it something."""
        return answer(await scim_groups.create_group(auth, by, _body(data)), 201)

    @get("/Groups/{role_id:str}", summary="Get a group")
    async def group(
        self, request: _Request, role_id: FromPath[str], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> Response[bytes]:
        """With `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimGroup])
        return answer(await scim_groups.get_group(auth, by, role_id, asked), request=request, asked=asked)

    @put("/Groups/{role_id:str}", summary="Replace a group")
    async def replace_group(
        self,
        request: _Request,
        role_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        by: NamedDependency[Caller],
    ) -> Response[bytes]:
        """Its name, and who has the role. At most 500 members change at once."""
        body = _body(data)
        return answer(await scim_groups.replace_group(auth, by, role_id, body, request.headers.get("if-match")))

    @patch("/Groups/{role_id:str}", summary="Patch a group")
    async def patch_group(
        self,
        request: _Request,
        role_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        by: NamedDependency[Caller],
    ) -> Response[bytes]:
        """By operations (RFC 7644 §3.5.2). At most 500 members change at once."""
        body = _body(data)
        return answer(await scim_groups.patch_group(auth, by, role_id, body, request.headers.get("if-match")))

    @delete("/Groups/{role_id:str}", summary="Take a group out")
    async def delete_group(
        self, request: _Request, role_id: FromPath[str], auth: NamedDependency[Context], by: NamedDependency[Caller]
    ) -> None:
        """Takes the role from everyone and deletes it; the first five stay."""
        await scim_groups.delete_group(auth, by, role_id, request.headers.get("if-match"))

    @get("/{rest:path}", include_in_schema=False)
    async def nowhere(self, rest: FromPath[str], principal: NamedDependency[Principal]) -> None:
        """What is not there says so as the rest does."""
        raise NotFoundException

    @post("/{rest:path}", include_in_schema=False)
    async def search(self, rest: FromPath[str], principal: NamedDependency[Principal]) -> None:
        """Searches by POST (§3.4.3) are not made; the same are made by GET."""
        raise NotImplementedException if rest.endswith("/.search") else NotFoundException


def _body(data: dict[str, Any]) -> dict[str, Any]:
    """What may be read as a resource or a patch; reading takes some microseconds for each value."""
    given = data.get("Operations")
    if isinstance(given, list) and len(given) > MAX_OPERATIONS:
        raise InvalidSyntaxException(detail=f"At most {MAX_OPERATIONS} operations are taken")
    if rules.is_large(data):
        raise InvalidSyntaxException(detail=f"At most {rules.MAX_VALUES} values are taken")
    return data


def _search(request: _Request, model: Any) -> Any:
    given: dict[str, Any] = dict(request.query_params)
    if len(given.get("filter", "")) > MAX_FILTER or len(given.get("sortBy", "")) > MAX_FILTER:
        raise InvalidFilterException(detail=f"A filter has at most {MAX_FILTER} characters")
    given |= {name: given[name].split(",") for name in _PLURAL & given.keys()}
    try:
        return model.model_validate(given, scim_ctx=ScimContext.SEARCH_REQUEST, scim_policy=rules.TOLERANT)
    except RecursionError:
        raise InvalidFilterException from None
