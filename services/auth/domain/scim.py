"""Provisioning by SCIM 2.0 (RFC 7643, RFC 7644): people as Users, roles as Groups.

A user's `userName` is the e-mail address. Attributes that are not kept here are taken and left out, `emails` follows
from `userName`. Models, filters and patches are those of `scim2_models`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ComplexAttribute,
    Context,
    Email,
    ETag,
    Filter,
    GroupMember,
    GroupMembership,
    Meta,
    Mutability,
    Patch,
    PatchOp,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    SearchRequest,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)
from scim2_models.path import CompareOperator, Comparison

from libs.common.clock import rfc3339
from services.auth.domain import people
from services.auth.domain.people import User
from services.auth.domain.roles import Role

MEDIA_TYPE = "application/scim+json"
MAX_FILTER = 1000
MAX_PAGE = 200
MAX_SCANNED = 10_000
MAX_MEMBERS = 10_000
MAX_CHANGED = 500
MAX_OPERATIONS = 100
# Of ten thousand members with all that may be said of each.
MAX_VALUES = 60_000
MAX_EXTERNAL_ID = 255


class Name(ComplexAttribute):
    """A person's name; kept as one text."""

    formatted: str | None = None
    given_name: str | None = None
    family_name: str | None = None


class ScimUser(Resource[Any]):
    """A person."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Required.true, Uniqueness.server] = None
    display_name: str | None = None
    name: Name | None = None
    active: bool | None = None
    locale: str | None = None
    emails: Annotated[list[Email] | None, Mutability.read_only] = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


class ScimGroup(Resource[Any]):
    """A role with who has it."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    members: list[GroupMember] | None = None


R = TypeVar("R", ScimUser, ScimGroup)

TOLERANT = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore, remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)  # fmt: skip
CONFIG = ServiceProviderConfig(
    documentation_uri=None,
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MAX_PAGE),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken, name="API key",
            description="Of a role that manages users, as a bearer token", primary=True,
        )
    ],
)  # fmt: skip
PROVIDER = ScimProvider([ScimUser, ScimGroup], config=CONFIG, policy=TOLERANT)

_DERIVED = frozenset(("id", "meta", "emails", "groups"))


class Kept(msgspec.Struct, frozen=True):
    """A person with what they are called elsewhere."""

    user: User
    external_id: str | None


class Member(msgspec.Struct, frozen=True):
    """Who has a role."""

    role_id: UUID
    user_id: UUID
    name: str


class Wanted(msgspec.Struct, frozen=True):
    """A person as the provisioning system wants them."""

    email: str
    name: str
    locale: str | None
    active: bool | None
    external_id: str | None


def of_user(it: Kept, roles: Mapping[UUID, Role], base: str) -> ScimUser:
    """A person as SCIM shows them."""
    user = it.user
    resource = ScimUser(
        id=str(user.id), external_id=it.external_id, user_name=user.email, display_name=user.name,
        name=Name(formatted=user.name), active=user.status != "deactivated", locale=user.locale,
        emails=[Email(value=user.email, type=Email.Type.work, primary=True)],
        groups=[
            GroupMembership(
                value=str(role), display=roles[role].name, type="direct", ref=Reference(f"{base}/Groups/{role}")
            )
            for role in user.roles if role in roles
        ] or None,
    )  # fmt: skip
    return _with_meta(resource, "User", f"{base}/Users/{user.id}", rfc3339(user.created_at), rfc3339(user.updated_at))


def of_role(role: Role, external_id: str | None, members: Iterable[Member] | None, base: str) -> ScimGroup:
    """A role as SCIM shows it; None for members that were not asked for."""
    listed = [
        GroupMember(value=str(it.user_id), display=it.name, type="User", ref=Reference(f"{base}/Users/{it.user_id}"))
        for it in members or ()
    ]
    group = ScimGroup(id=str(role.id), external_id=external_id, display_name=role.name, members=listed or None)
    return _with_meta(group, "Group", f"{base}/Groups/{role.id}", rfc3339(role.created_at), rfc3339(role.updated_at))


def _with_meta(resource: R, kind: str, location: str, created: str, changed: str) -> R:
    text = resource.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE)
    version = f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
    resource.meta = Meta.model_validate(
        {"resourceType": kind, "location": location, "created": created, "lastModified": changed, "version": version}
    )
    return resource


def fresh(resource: ScimUser | ScimGroup, if_match: str | None) -> bool:
    """Whether a resource is as the client believes (RFC 7644 §3.14)."""
    if if_match is None or if_match.strip() == "*":
        return True
    version = resource.meta.version if resource.meta else None
    return version in [tag.strip() for tag in if_match.split(",")]


def read(model: type[R], payload: Mapping[str, Any], context: Context) -> R:
    """A resource of a request's body; what follows from other attributes is left out of it."""
    given = {name: value for name, value in payload.items() if name.lower() not in _DERIVED}
    return model.model_validate(given, scim_ctx=context, scim_policy=TOLERANT)


def patched(model: type[R], resource: R, payload: Mapping[str, Any]) -> R:
    """A resource after the operations of a request's body."""
    operations = payload.get("Operations")
    if isinstance(operations, list):
        kept = [it for it in operations if not _of_derived(it)]
        if not kept and operations:
            return resource
        payload = {**payload, "Operations": [_without_derived(it) for it in kept]}
    patch = PatchOp[model].model_validate(  # type: ignore[valid-type]
        payload, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=TOLERANT
    )
    patch.patch(resource, TOLERANT)
    return resource


def wanted(it: ScimUser, before: ScimUser | None = None) -> Wanted:
    """The person that a resource describes; `displayName` and `name` stand for one text, and the changed one counts."""
    email = people.normalize_email(it.user_name or "")
    whole = it.name or Name()
    parts = f"{whole.given_name} {whole.family_name}" if whole.given_name and whole.family_name else None
    known = before.display_name if before else None
    told = [name for name in (it.display_name, whole.formatted, parts) if name and name.strip()]
    name = next((name for name in told if name != known), known) or email.partition("@")[0]
    return Wanted(email, name.strip(), it.locale, it.active, it.external_id)


def member_ids(it: ScimGroup) -> list[str]:
    """Who a group is to have."""
    return [member.value for member in it.members or () if member.value]


def exactly(request: SearchRequest[Any], *attributes: str) -> tuple[str, str] | None:
    """The attribute and the value of a filter that is a plain `eq` on one of these, so that an index answers it."""
    node = request.filter.ast if request.filter is not None else None
    if not isinstance(node, Comparison) or node.op is not CompareOperator.eq or not isinstance(node.value, str):
        return None
    name = str(node.attr_path).rpartition(":")[2].lower()
    return (name, node.value) if name in attributes else None


def _of_derived(operation: object) -> bool:
    path = operation.get("path") if isinstance(operation, dict) else None
    if not isinstance(path, str):
        return False
    first = path.removeprefix(f"{ScimUser.__schema__}:").partition(".")[0].partition("[")[0]
    return first.lower() in _DERIVED


def _without_derived(operation: object) -> object:
    if not isinstance(operation, dict) or operation.get("path") or not isinstance(operation.get("value"), dict):
        return operation
    value = {name: it for name, it in operation["value"].items() if name.lower() not in _DERIVED}
    return {**operation, "value": value}


def is_large(document: object) -> bool:
    """Whether a document has more values, at any depth, than are taken."""
    count, ahead = 0, [document]
    while ahead and count <= MAX_VALUES:
        value = ahead.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += len(inner)
        if count <= MAX_VALUES:
            ahead += inner
    return count > MAX_VALUES
