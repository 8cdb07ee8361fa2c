"""What a tenant's plan allows, as auth announces it; no number is no limit."""

import msgspec

from libs.common.errors import Forbidden


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of what a tenant may have, and how many requests it may make."""

    users: int | None = None
    pipelines: int | None = None
    records: int | None = None
    storage_bytes: int | None = None
    requests_per_minute: int | None = None
    requests_per_day: int | None = None


NONE = Limits()


def reached(name: str, limit: int, current: int) -> Forbidden:
    """The one answer where a plan is used up."""
    what = name.replace("_", " ")
    return Forbidden(
        f"The organization's plan allows {limit} {what}, and there are {current}", code="plan-limit-reached",
        extra={"limit_name": name, "limit": limit, "current": current},
    )  # fmt: skip


def require_room(name: str, limit: int | None, current: int, adding: int = 1) -> None:
    """`Forbidden` where adding would go beyond the limit; there is room for less than that where some is left."""
    if limit is not None and adding > 0 and current + adding > limit:
        raise reached(name, limit, current)
