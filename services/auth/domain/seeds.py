"""The roles that every tenant begins with."""

from datetime import datetime

from libs.common.ids import new_id
from libs.common.permissions import Action, Grant
from services.auth.domain.roles import Role

OWNER = "owner"
MEMBER = "member"

_READ: tuple[Action, ...] = ("read",)
_WRITE_RECORDS: tuple[Action, ...] = ("read", "create", "update", "delete", "share", "export")
_ANY: tuple[Action, ...] = ("*",)
_ALL_BUT_DELETE: tuple[Action, ...] = ("read", "create", "update", "share", "export", "manage")

_GRANTS: dict[str, tuple[Grant, ...]] = {
    OWNER: (Grant("*", _ANY),),
    "admin": (
        *(
            Grant(resource, _ANY)
            for resource in (
                "records", "pipelines", "relationship_types", "views", "users", "roles", "webhooks", "analytics",
            )
        ),
        Grant("organization", _ALL_BUT_DELETE),
    ),
    "manager": (
        *(Grant(resource, _ANY) for resource in ("records", "pipelines", "relationship_types", "views")),
        Grant("analytics", _READ),
        Grant("users", _READ),
    ),
    MEMBER: (
        Grant("records", _WRITE_RECORDS),
        *(Grant(resource, _READ) for resource in ("pipelines", "relationship_types", "users")),
    ),
    "viewer": tuple(Grant(resource, _READ) for resource in ("records", "pipelines", "relationship_types", "users")),
}  # fmt: skip


def seeded(now: datetime) -> list[Role]:
    """The five roles, owner first."""
    return [Role(new_id(), slug, slug.capitalize(), True, (), grants, 1, now, now) for slug, grants in _GRANTS.items()]
