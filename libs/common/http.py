"""What Litestar routes share: strict JSON bodies, problem documents, the principal of a request."""

import re
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_413_REQUEST_ENTITY_TOO_LARGE
from litestar.types import ExceptionHandlersMap
from litestar.typing import FieldDefinition

from libs.common import bodies, logging, problems
from libs.common.edge import REQUEST_ID
from libs.common.errors import (
    AppError,
    Fault,
    Invalid,
    Malformed,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    UnsupportedMediaType,
)

T = TypeVar("T")
log = structlog.get_logger()

_MISSING = re.compile(r"Missing required \w+ parameter '([^']+)'")
JSON_TYPES = (
    "application/json",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/scim+json",
)


class Input(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The base of request bodies: unknown fields are refused, by name."""


class JsonBody(AbstractDTO[T]):
    """Decodes `data` of every handler strictly, naming all faults."""

    def decode_bytes(self, value: bytes) -> Any:
        """The body as the handler's type."""
        media = self.asgi_connection.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media not in JSON_TYPES:
            raise UnsupportedMediaType(f"'{media}' is not taken here; send application/json")
        field = self.asgi_connection.route_handler.parsed_data_field
        return bodies.decode(value, field.annotation)

    def decode_builtins(self, value: dict[str, Any]) -> Any:
        """The same for a handler that takes a form."""
        return bodies.convert(value, self.asgi_connection.route_handler.parsed_data_field.annotation)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """No transfer model is made: the Struct itself is the body."""

    @classmethod
    def create_openapi_schema(cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any) -> Any:
        """The schema of the Struct itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def is_supported_model_type_field(cls, field_definition: FieldDefinition) -> bool:
        """Any body may be decoded this way."""
        return True

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """No fields are renamed or left out."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nesting is the Struct's own business."""
        return False


def problem(request: Request[Any, Any, Any], error: AppError) -> Response[bytes]:
    """The response of an error."""
    request_id = request.scope.get(REQUEST_ID, "")
    status, headers, body = problems.render(error, request_id=str(request_id), instance=request.scope["path"])
    rest = {name: value for name, value in headers if name != "content-type"}
    return Response(body, status_code=status, media_type=problems.MEDIA_TYPE, headers=rest)


def _of_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    answer = problem(request, translate(error, _parameters(request)))
    if allowed := (error.headers or {}).get("allow"):
        answer.headers["allow"] = allowed
    return answer


def _parameters(request: Request[Any, Any, Any]) -> Mapping[str, FieldDefinition]:
    """The parameters of the handler, by their names in Python."""
    handler = request.scope.get("route_handler")
    return handler.parsed_fn_signature.parameters if isinstance(handler, HTTPRouteHandler) else {}


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("request failed", path=logging.shown(request.scope["path"]), error=repr(error), exc_info=error)
    return problem(request, AppError())


def translate(error: HTTPException, parameters: Mapping[str, FieldDefinition] = MappingProxyType({})) -> AppError:
    """The kind of error that a framework's exception is, with `parameters` of the handler that raised it."""
    if isinstance(error, ValidationException):
        return _of_parameters(error, parameters)
    if isinstance(error, NotFoundException):
        return NotFound()
    if isinstance(error, MethodNotAllowedException):
        return MethodNotAllowed()
    if error.status_code == HTTP_413_REQUEST_ENTITY_TOO_LARGE:
        return TooLarge()
    if isinstance(error, ClientException):
        return Malformed(error.detail)
    return AppError(error.detail)


def _of_parameters(error: ValidationException, parameters: Mapping[str, FieldDefinition]) -> AppError:
    extra: list[dict[str, str]] = error.extra if isinstance(error.extra, list) else []
    if any(found.get("source") == "body" for found in extra):
        return Malformed("A JSON body is expected")
    faults = [_fault(found, parameters.get(found.get("key", ""))) for found in extra]
    if missing := _MISSING.match(error.detail):
        faults.append(Fault(f"/{missing[1]}", "required", f"'{missing[1]}' is required"))
    return Invalid("The request's parameters are not valid", errors=faults)


def _fault(found: Mapping[str, str], parameter: FieldDefinition | None) -> Fault:
    key, message = found.get("key", ""), found.get("message", "")
    if parameter is None:
        return Fault(f"/{key}", "invalid_value", message)
    name = getattr(parameter.kwarg_definition, "name", None) or key
    return Fault(f"/{name}", "invalid_value", bodies.worded(message, parameter.annotation))


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    AppError: problem,
    HTTPException: _of_framework,
    Exception: _unexpected,
}
