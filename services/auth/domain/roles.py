"""Roles, their inheritance, and what they add up to."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.permissions import Grant, RoleGrants

MAX_ROLES = 200
MAX_INHERITS = 20
MAX_ROLES_OF_USER = 20

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_encode = msgspec.json.Encoder(order="deterministic").encode


class Role(msgspec.Struct, frozen=True):
    """A role with its own grants; `version` grows whenever what it adds up to changes."""

    id: UUID
    slug: str
    name: str
    seeded: bool
    inherits: tuple[UUID, ...]
    grants: tuple[Grant, ...]
    version: int
    created_at: datetime
    updated_at: datetime


Catalogue = Mapping[UUID, Role]


class RoleName(msgspec.Struct, frozen=True):
    """A role by name."""

    id: UUID
    slug: str
    name: str


def slug_of(name: str) -> str:
    """A slug for a role of that name; empty where the name has no letters or digits that serve."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].strip("-")


def check_slug(slug: str) -> list[Fault]:
    """Faults of a role's slug."""
    if _SLUG.fullmatch(slug):
        return []
    return [Fault("/slug", "invalid_slug", "A slug has up to 64 of a-z, 0-9, and inner hyphens and underscores")]


def lineage(roles: Catalogue, role_id: UUID) -> Iterator[Role]:
    """A role and all that it inherits from, each once, nearest first."""
    seen: set[UUID] = set()
    waiting = [role_id]
    while waiting:
        role = roles.get(waiting.pop(0))
        if role is not None and role.id not in seen:
            seen.add(role.id)
            yield role
            waiting += role.inherits


def heirs(roles: Catalogue, role_id: UUID) -> list[Role]:
    """All roles whose sum a role is part of, itself included."""
    return [role for role in roles.values() if any(role_id == part.id for part in lineage(roles, role.id))]


def flatten(roles: Catalogue, role_id: UUID) -> tuple[Grant, ...]:
    """The grants of a role and of all it inherits from, each once."""
    return unique(grant for role in lineage(roles, role_id) for grant in role.grants)


def flatten_all(roles: Catalogue, role_ids: Iterable[UUID]) -> tuple[Grant, ...]:
    """The grants of several roles together, each once."""
    return unique(grant for role_id in role_ids for grant in flatten(roles, role_id))


def unique(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Grants without repetition, in their order."""
    return tuple({_encode(grant): grant for grant in grants}.values())


def check_inherits(roles: Catalogue, role_id: UUID | None, inherits: tuple[UUID, ...]) -> list[Fault]:
    """Faults of what a role (None: one not made yet) would inherit from."""
    if len(inherits) > MAX_INHERITS:
        return [Fault("/inherits", "too_many", f"A role inherits from at most {MAX_INHERITS} roles")]
    faults = []
    for index, parent in enumerate(inherits):
        if parent not in roles:
            faults.append(Fault(f"/inherits/{index}", "unknown_role", "There is no such role"))
        elif any(role.id == role_id for role in lineage(roles, parent)):
            faults.append(Fault(f"/inherits/{index}", "cycle", "The role would inherit from itself"))
        elif parent in inherits[:index]:
            faults.append(Fault(f"/inherits/{index}", "repeated", "The role is named twice"))
    return faults


def announced(roles: Catalogue, role: Role, *, deleted: bool = False) -> RoleGrants:
    """A role as other services learn of it."""
    grants = () if deleted else flatten(roles, role.id)
    return RoleGrants(role.id, role.slug, role.name, role.version, grants, deleted)


def choose(roles: Catalogue, named: Sequence[str]) -> tuple[UUID, ...]:
    """The ids of roles that are named by id or slug, sorted; unknown ones and too many are faults."""
    if len(named) > MAX_ROLES_OF_USER:
        detail = f"At most {MAX_ROLES_OF_USER} roles are taken"
        raise Invalid(errors=[Fault("/roles", "too_many", detail)])
    known = {name: role.id for role in roles.values() for name in (str(role.id), role.slug)}
    faults = [
        Fault(f"/roles/{index}", "unknown_role", "There is no such role")
        for index, name in enumerate(named)
        if name.lower() not in known
    ]
    if faults:
        raise Invalid(errors=faults)
    return tuple(sorted({known[name.lower()] for name in named}))
