"""How SCIM answers: resources, lists and errors (RFC 7644 §3.4.2, §3.12)."""

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap
from pydantic import ValidationError
from scim2_models import Context as ScimContext
from scim2_models import Error, ListResponse, Meta, NotFoundException, ResourceType, Schema, SCIMException

from libs.common.errors import AppError
from libs.common.http import translate
from libs.common.problems import STATUS
from services.auth.domain.scim import MEDIA_TYPE
from services.auth.routes.shapes import origin_of
from services.auth.usecases.scim import Found

PATH = "/api/v1/scim/v2"
_ANSWER = ScimContext.RESOURCE_QUERY_RESPONSE
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

ERRORS = {
    MEDIA_TYPE: {
        "schema": {
            "type": "object",
            "properties": {
                "schemas": {"type": "array", "items": {"const": "urn:ietf:params:scim:api:messages:2.0:Error"}},
                "status": {"type": "string"},
                "scimType": {"type": "string"},
                "detail": {"type": "string"},
            },
            "required": ["schemas", "status"],
        }
    }
}


def found(result: Found, asked: Any, model: Any) -> Response[bytes]:
    """A list of what was found."""
    page = model(
        total_results=result.total, start_index=asked.start_index or 1, items_per_page=len(result.resources),
        resources=list(result.resources),
    )  # fmt: skip
    return _render(page, asked)


def listed(resources: list[Any], model: Any) -> Response[bytes]:
    """A list of all there is."""
    count = len(resources)
    return _render(ListResponse[model](total_results=count, start_index=1, items_per_page=count, resources=resources))


def answer(resource: Any, status: int = 200, request: _Request | None = None, asked: Any = None) -> Response[bytes]:
    """A resource, or 304 where the client has it already."""
    meta = resource.meta
    headers = {"etag": meta.version} if meta and meta.version else {}
    if status == 201:
        headers["location"] = str(meta.location)
    if request and "etag" in headers and request.headers.get("if-none-match") == headers["etag"]:
        return Response(b"", status_code=304, media_type=MEDIA_TYPE, headers=headers)
    return _render(resource, asked, status, headers)


def _render(it: Any, asked: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    text = it.model_dump_json(scim_ctx=_ANSWER, response_parameters=asked)
    return Response(text.encode(), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def located(resource: Any, request: _Request, place: str) -> Any:
    """A resource that says where it is."""
    kind = type(resource).__name__
    meta = {"resourceType": kind, "location": f"{origin_of(request)}{PATH}/{place}"}
    resource.meta = Meta.model_validate(meta)
    return resource


def of_type(it: ResourceType, request: _Request) -> Any:
    """What is provisioned, where it is asked for."""
    return located(it.model_copy(deep=True), request, f"ResourceTypes/{it.id}")


def of_schema(it: Schema, request: _Request) -> Any:
    """The attributes of it, where they are asked for."""
    return located(it.model_copy(deep=True), request, f"Schemas/{it.id}")


def named(resources: list[Any], name: str) -> Any:
    """The one of a name, whatever its case."""
    for it in resources:
        if str(it.id).lower() == name.lower():
            return it
    raise NotFoundException
