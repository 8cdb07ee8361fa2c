"""What a principal may do: the union of the grants of its roles. Deny is the default."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.errors import Forbidden

Action = Literal["read", "create", "update", "delete", "share", "export", "manage", "*"]
ANY = "*"


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One grant: actions on a kind of resource, of one pipeline or of all.

    `row_rule` is a filter tree that a record must satisfy; `readable_fields` and `writable_fields` name the fields that
    may be seen and set (absent: all); `presets` are values set at creation.
    """

    resource: str
    actions: tuple[Action, ...]
    pipeline_id: UUID | None = None
    row_rule: object = None
    readable_fields: frozenset[str] | None = None
    writable_fields: frozenset[str] | None = None
    presets: dict[str, object] | None = None

    def covers(self, action: str, resource: str, pipeline_id: UUID | None) -> bool:
        """Whether the grant speaks of this action on this resource; one for a pipeline does not cover all of them."""
        return (
            (self.resource in (resource, ANY))
            and (action in self.actions or ANY in self.actions)
            and (self.pipeline_id is None or self.pipeline_id == pipeline_id)
        )


class RoleGrants(msgspec.Struct, frozen=True):
    """A role with its grants flattened over inheritance, as auth announces it."""

    id: UUID
    slug: str
    name: str
    version: int
    grants: tuple[Grant, ...]
    deleted: bool = False


class Permissions:
    """The compiled permission of one principal."""

    __slots__ = ("_memo", "grants")

    def __init__(self, grants: Iterable[Grant]) -> None:
        self.grants = tuple(grants)
        self._memo: dict[tuple[str, str, UUID | None], tuple[Grant, ...]] = {}

    def alternatives(self, action: str, resource: str, pipeline_id: UUID | None = None) -> tuple[Grant, ...]:
        """The grants any one of which suffices; none means that it is denied."""
        key = (action, resource, pipeline_id)
        found = self._memo.get(key)
        if found is None:
            found = tuple(grant for grant in self.grants if grant.covers(action, resource, pipeline_id))
            self._memo[key] = found
        return found

    def allow(self, action: str, resource: str, pipeline_id: UUID | None = None) -> bool:
        """Whether the action is allowed on at least some rows of the resource."""
        return bool(self.alternatives(action, resource, pipeline_id))

    def require(self, action: str, resource: str, pipeline_id: UUID | None = None) -> tuple[Grant, ...]:
        """The grants that allow the action, or `Forbidden` where there are none."""
        found = self.alternatives(action, resource, pipeline_id)
        if not found:
            raise Forbidden(f"'{action}' on '{resource}' needs a grant that none of your roles gives")
        return found
