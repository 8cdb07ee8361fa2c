"""`/scim/v2`: provisioning by a directory elsewhere (SCIM 2.0)."""

from collections.abc import Mapping
from typing import Any

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody
from litestar.types import ExceptionHandlersMap
from pydantic import ValidationError
from scim2_models import Context as ScimContext
from scim2_models import (
    Error,
    InvalidFilterException,
    InvalidSyntaxException,
    ListResponse,
    Meta,
    NotFoundException,
    ResourceType,
    Schema,
    SCIMException,
    SearchRequest,
)

from libs.common.errors import AppError
from libs.common.http import translate
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.problems import STATUS
from services.auth.domain import scim as rules
from services.auth.domain.scim import MAX_FILTER, MAX_OPERATIONS, MEDIA_TYPE, PROVIDER, ScimGroup, ScimUser
from services.auth.routes.shapes import origin_of
from services.auth.usecases import scim
from services.auth.usecases.context import Context
from services.auth.usecases.scim import Caller, Found

_PATH = "/api/v1/scim/v2"
_ANSWER = ScimContext.RESOURCE_QUERY_RESPONSE
_PLURAL = frozenset(("attributes", "excludedAttributes"))
_KINDS = {400: "invalidSyntax", 409: "uniqueness", 422: "invalidValue"}
_STATUSES = {415: 400, 422: 400}

_Request = Request[Any, Any, Any]


def _error(error: Error, status: int, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    return Response(
        error.model_dump_json().encode(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def _of_scim(_: _Request, error: SCIMException) -> Response[bytes]:
    told = error.to_error()
    return _error(told, told.status or 400)


def _of_model(_: _Request, error: ValidationError) -> Response[bytes]:
    told = Error.from_validation_error(error.errors()[0])
    return _error(told, told.status or 400)


def _of_platform(_: _Request, error: AppError) -> Response[bytes]:
    status = STATUS[error.kind][0]
    detail = "; ".join(fault.detail for fault in error.errors) or error.detail
    kind = "uniqueness" if error.code in ("email-taken", "role-exists") else "mutability" if status == 409 else None
    word = (kind or _KINDS[status]) if status in _KINDS else None
    told = Error(status=_STATUSES.get(status, status), scim_type=word, detail=detail)
    return _error(told, told.status or 500, {"retry-after": str(int(error.retry_after))} if error.retry_after else None)


def _of_framework(request: _Request, error: HTTPException) -> Response[bytes]:
    return _of_platform(request, translate(error))


HANDLERS: ExceptionHandlersMap = {
    SCIMException: _of_scim, ValidationError: _of_model, AppError: _of_platform, HTTPException: _of_framework,
}  # fmt: skip


class ScimController(Controller):
    """People and roles for a directory elsewhere. It takes a role that manages users, best that of an API key."""

    path = "/scim/v2"
    tags = ["Provisioning"]  # noqa: RUF012
    exception_handlers = HANDLERS

    @get("/ServiceProviderConfig", summary="What of SCIM is supported")
    async def config(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Filters, patches, sorting and versions are; bulk operations and passwords are not."""
        return _answer(_located(rules.CONFIG.model_copy(deep=True), request, "ServiceProviderConfig"))

    @get("/ResourceTypes", summary="What is provisioned")
    async def types(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Users and Groups."""
        return _list([_of_type(it, request) for it in PROVIDER.resource_types], ResourceType)

    @get("/ResourceTypes/{resource_type:str}", summary="A kind of what is provisioned")
    async def one_type(
        self, request: _Request, resource_type: FromPath[str], principal: NamedDependency[Principal]
    ) -> Response[bytes]:
        """`User` or `Group`."""
        return _answer(_named([_of_type(it, request) for it in PROVIDER.resource_types], resource_type))

    @get("/Schemas", summary="The attributes of what is provisioned")
    async def schemas(self, request: _Request, principal: NamedDependency[Principal]) -> Response[bytes]:
        """Others are taken and left out."""
        return _list([_of_schema(it, request) for it in PROVIDER.schemas], Schema)

    @get("/Schemas/{schema_urn:str}", summary="The attributes of Users or Groups")
    async def one_schema(
        self, request: _Request, schema_urn: FromPath[str], principal: NamedDependency[Principal]
    ) -> Response[bytes]:
        """By the URN of the schema."""
        return _answer(_named([_of_schema(it, request) for it in PROVIDER.schemas], schema_urn))

    @get("/Users", summary="Find users")
    async def users(
        self,
        request: _Request,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """By `filter`, `sortBy`, `sortOrder`, `startIndex`, `count`, `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimUser])
        found = await scim.find_users(auth, _caller(request, principal, permissions), asked)
        return _found(found, asked, ListResponse[ScimUser])

    @post("/Users", summary="Provision a user")
    async def create_user(
        self,
        request: _Request,
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """A member, who joins at the organization's identity provider, or else by an invitation."""
        by = _caller(request, principal, permissions)
        return _answer(await scim.create_user(auth, by, _body(data)), 201)

    @get("/Users/{user_id:str}", summary="Get a user")
    async def user(
        self,
        request: _Request,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """With `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimUser])
        found = await scim.get_user(auth, _caller(request, principal, permissions), user_id)
        return _answer(found, request=request, asked=asked)

    @put("/Users/{user_id:str}", summary="Replace a user")
    async def replace_user(
        self,
        request: _Request,
        user_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """`active: false` ends the user's sessions."""
        by = _caller(request, principal, permissions)
        body = _body(data)
        return _answer(await scim.replace_user(auth, by, user_id, body, request.headers.get("if-match")))

    @patch("/Users/{user_id:str}", summary="Patch a user")
    async def patch_user(
        self,
        request: _Request,
        user_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """By operations (RFC 7644 §3.5.2). `active: false` ends the user's sessions."""
        by = _caller(request, principal, permissions)
        body = _body(data)
        return _answer(await scim.patch_user(auth, by, user_id, body, request.headers.get("if-match")))

    @delete("/Users/{user_id:str}", summary="Take a user out")
    async def delete_user(
        self,
        request: _Request,
        user_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """Deletes the account and ends its sessions."""
        by = _caller(request, principal, permissions)
        await scim.delete_user(auth, by, user_id, request.headers.get("if-match"))

    @get("/Groups", summary="Find groups")
    async def groups(
        self,
        request: _Request,
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """Roles with who has them, found as users are."""
        asked = _search(request, SearchRequest[ScimGroup])
        found = await scim.find_groups(auth, _caller(request, principal, permissions), asked)
        return _found(found, asked, ListResponse[ScimGroup])

    @post("/Groups", summary="Provision a group")
    async def create_group(
        self,
        request: _Request,
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """A role that gives nothing until somebody grants it something."""
        by = _caller(request, principal, permissions)
        return _answer(await scim.create_group(auth, by, _body(data)), 201)

    @get("/Groups/{role_id:str}", summary="Get a group")
    async def group(
        self,
        request: _Request,
        role_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """With `attributes` and `excludedAttributes`."""
        asked = _search(request, SearchRequest[ScimGroup])
        found = await scim.get_group(auth, _caller(request, principal, permissions), role_id, asked)
        return _answer(found, request=request, asked=asked)

    @put("/Groups/{role_id:str}", summary="Replace a group")
    async def replace_group(
        self,
        request: _Request,
        role_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """Its name, and who has the role. At most 500 members change at once."""
        by = _caller(request, principal, permissions)
        body = _body(data)
        return _answer(await scim.replace_group(auth, by, role_id, body, request.headers.get("if-match")))

    @patch("/Groups/{role_id:str}", summary="Patch a group")
    async def patch_group(
        self,
        request: _Request,
        role_id: FromPath[str],
        data: JSONBody[dict[str, Any]],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> Response[bytes]:
        """By operations (RFC 7644 §3.5.2). At most 500 members change at once."""
        by = _caller(request, principal, permissions)
        body = _body(data)
        return _answer(await scim.patch_group(auth, by, role_id, body, request.headers.get("if-match")))

    @delete("/Groups/{role_id:str}", summary="Take a group out")
    async def delete_group(
        self,
        request: _Request,
        role_id: FromPath[str],
        auth: NamedDependency[Context],
        principal: NamedDependency[Principal],
        permissions: NamedDependency[Permissions],
    ) -> None:
        """Takes the role from everyone and deletes it; the first five stay."""
        by = _caller(request, principal, permissions)
        await scim.delete_group(auth, by, role_id, request.headers.get("if-match"))


def _caller(request: _Request, principal: Principal, permissions: Permissions) -> Caller:
    return Caller(principal, permissions, f"{origin_of(request)}{_PATH}")


def _body(data: dict[str, Any]) -> dict[str, Any]:
    if len(data.get("Operations") or ()) > MAX_OPERATIONS:
        raise InvalidSyntaxException(detail=f"At most {MAX_OPERATIONS} operations are taken")
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


def _found(found: Found, asked: Any, model: Any) -> Response[bytes]:
    answer = model(
        total_results=found.total, start_index=asked.start_index or 1, items_per_page=len(found.resources),
        resources=list(found.resources),
    )  # fmt: skip
    return _render(answer, asked)


def _list(resources: list[Any], model: Any) -> Response[bytes]:
    count = len(resources)
    return _render(ListResponse[model](total_results=count, start_index=1, items_per_page=count, resources=resources))


def _answer(resource: Any, status: int = 200, request: _Request | None = None, asked: Any = None) -> Response[bytes]:
    meta = resource.meta
    headers = {"etag": meta.version} if meta and meta.version else {}
    if status == 201:
        headers["location"] = str(meta.location)
    if request and "etag" in headers and request.headers.get("if-none-match") == headers["etag"]:
        return Response(b"", status_code=304, media_type=MEDIA_TYPE, headers=headers)
    return _render(resource, asked, status, headers)


def _render(
    answer: Any, asked: Any = None, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    text = answer.model_dump_json(scim_ctx=_ANSWER, response_parameters=asked)
    return Response(text.encode(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _located(resource: Any, request: _Request, place: str) -> Any:
    kind = type(resource).__name__
    meta = {"resourceType": kind, "location": f"{origin_of(request)}{_PATH}/{place}"}
    resource.meta = Meta.model_validate(meta)
    return resource


def _of_type(it: ResourceType, request: _Request) -> Any:
    return _located(it.model_copy(deep=True), request, f"ResourceTypes/{it.id}")


def _of_schema(it: Schema, request: _Request) -> Any:
    return _located(it.model_copy(deep=True), request, f"Schemas/{it.id}")


def _named(resources: list[Any], name: str) -> Any:
    found = next((it for it in resources if str(it.id).lower() == name.lower()), None)
    if found is None:
        raise NotFoundException
    return found
