"""The closed list of error kinds. Domain code raises them; only the edge knows status codes.

A kind survives the wire: an answer over NATS names it and the caller raises the same class again.
The first line of each docstring is the default detail.
"""

from typing import ClassVar, Final

import msgspec

# What an error tells may repeat what was sent, which may be megabytes long.
MAX_DETAIL: Final = 500
MAX_POINTER: Final = 300


def clipped(text: str, most: int = MAX_DETAIL) -> str:
    """The text if it has at most so many characters, else its beginning and its end around an ellipsis."""
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 1]}…{text[-end:]}"


class Fault(msgspec.Struct, frozen=True):
    """One fault of an input: where (RFC 6901 pointer), which, and in words; both are clipped."""

    pointer: str
    code: str
    detail: str

    def __post_init__(self) -> None:
        if len(self.pointer) > MAX_POINTER:
            msgspec.structs.force_setattr(self, "pointer", clipped(self.pointer, MAX_POINTER))
        if len(self.detail) > MAX_DETAIL:
            msgspec.structs.force_setattr(self, "detail", clipped(self.detail))


class AppError(Exception):
    """Something went wrong."""

    kind: ClassVar[str] = "internal"

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        errors: tuple[Fault, ...] | list[Fault] = (),
        retry_after: float | None = None,
        extra: dict[str, object] | None = None,
    ) -> None:
        self.detail = clipped(detail or (type(self).__doc__ or "").partition("\n")[0])
        self.code = code or self.kind
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.extra = extra or {}
        super().__init__(self.detail)


class Malformed(AppError):
    """The request could not be read."""

    kind = "malformed-request"


class Unauthenticated(AppError):
    """Valid credentials are required."""

    kind = "unauthenticated"


class Forbidden(AppError):
    """The principal may not do this."""

    kind = "forbidden"


class NotFound(AppError):
    """There is no such resource, or it is not visible."""

    kind = "not-found"


class MethodNotAllowed(AppError):
    """The resource does not answer this method."""

    kind = "method-not-allowed"


class Conflict(AppError):
    """The request conflicts with the present state."""

    kind = "conflict"


class Gone(AppError):
    """What was asked for is no longer kept."""

    kind = "gone"


class StaleVersion(AppError):
    """The resource has changed since the version that was given."""

    kind = "stale-version"


class TooLarge(AppError):
    """The body is too large."""

    kind = "too-large"


class UnsupportedMediaType(AppError):
    """The media type of the body is not taken here."""

    kind = "unsupported-media-type"


class Invalid(AppError):
    """The input is not valid."""

    kind = "validation-failed"


class VersionRequired(AppError):
    """The request must name the version it changes."""

    kind = "version-required"


class RateLimited(AppError):
    """Too many requests."""

    kind = "rate-limited"


class Unavailable(AppError):
    """A part that is needed for the answer is away."""

    kind = "unavailable"


KINDS: dict[str, type[AppError]] = {
    cls.kind: cls
    for cls in (
        AppError, Malformed, Unauthenticated, Forbidden, NotFound, MethodNotAllowed, Conflict, Gone, StaleVersion,
        TooLarge, UnsupportedMediaType, Invalid, VersionRequired, RateLimited, Unavailable,
    )
}  # fmt: skip


class WireError(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as it travels in an answer over NATS."""

    kind: str
    code: str
    detail: str
    errors: tuple[Fault, ...] = ()
    retry_after: float | None = None
    extra: dict[str, object] = {}


def to_wire(error: AppError) -> WireError:
    """The travelling form of an error."""
    return WireError(error.kind, error.code, error.detail, error.errors, error.retry_after, error.extra)


def from_wire(wire: WireError) -> AppError:
    """The error that was sent; an unknown kind becomes the opaque base kind."""
    cls = KINDS.get(wire.kind, AppError)
    return cls(wire.detail, code=wire.code, errors=wire.errors, retry_after=wire.retry_after, extra=dict(wire.extra))
