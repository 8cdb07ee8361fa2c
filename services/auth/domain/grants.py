"""Grants that people write: what they may say, and that nobody gives what they do not have."""

from collections.abc import Iterable, Sequence

import msgspec

from libs.common.errors import Fault, Forbidden
from libs.common.filters.renaming import Renaming
from libs.common.permissions import Grant, Permissions

RESOURCES = (
    "records", "pipelines", "relationship_types", "views", "users", "roles", "organization", "webhooks", "analytics",
    "*",
)  # fmt: skip
OF_ONE_PIPELINE = frozenset({"records", "pipelines", "views", "analytics"})
OF_ROWS = frozenset({"records"})

MAX_GRANTS = 200
MAX_FIELDS = 500
MAX_RULE_BYTES = 8192


def check(grants: Sequence[Grant]) -> list[Fault]:
    """Faults of a role's grants."""
    if len(grants) > MAX_GRANTS:
        return [Fault("/grants", "too_many", f"A role has at most {MAX_GRANTS} grants")]
    return [fault for index, grant in enumerate(grants) for fault in _check(grant, f"/grants/{index}")]


def _check(grant: Grant, pointer: str) -> Iterable[Fault]:
    if grant.resource not in RESOURCES:
        yield Fault(f"{pointer}/resource", "unknown_resource", f"Known are {', '.join(RESOURCES)}")
        return
    if not grant.actions:
        yield Fault(f"{pointer}/actions", "required", "At least one action is expected")
    if grant.pipeline_id is not None and grant.resource not in OF_ONE_PIPELINE:
        yield Fault(f"{pointer}/pipeline_id", "not_of_a_pipeline", f"'{grant.resource}' belong to no pipeline")
    yield from _check_rows(grant, pointer)


def _check_rows(grant: Grant, pointer: str) -> Iterable[Fault]:
    for name in ("row_rule", "readable_fields", "writable_fields", "presets"):
        value = getattr(grant, name)
        if value is None:
            continue
        if grant.resource not in OF_ROWS:
            yield Fault(f"{pointer}/{name}", "not_of_rows", f"'{grant.resource}' have no rows and fields")
        elif name == "row_rule" and not isinstance(value, dict):
            yield Fault(f"{pointer}/{name}", "invalid_filter", "A filter tree is expected")
        elif name in ("row_rule", "presets") and len(msgspec.json.encode(value)) > MAX_RULE_BYTES:
            yield Fault(f"{pointer}/{name}", "too_large", f"At most {MAX_RULE_BYTES} bytes are taken")
        elif len(value) > MAX_FIELDS:
            yield Fault(f"{pointer}/{name}", "too_many", f"At most {MAX_FIELDS} fields are taken")


def renamed(grant: Grant, to: Renaming) -> Grant:
    """A grant with fields by their new names. One that names no pipeline is the same: its fields are of several."""
    if grant.pipeline_id is None:
        return grant
    row_rule, renames = to.condition(grant.row_rule, grant.pipeline_id), to.names
    if grant.pipeline_id != to.pipeline_id:
        return msgspec.structs.replace(grant, row_rule=row_rule)
    readable, writable, presets = grant.readable_fields, grant.writable_fields, grant.presets
    return msgspec.structs.replace(
        grant,
        row_rule=row_rule,
        readable_fields=None if readable is None else frozenset(renames.get(name, name) for name in readable),
        writable_fields=None if writable is None else frozenset(renames.get(name, name) for name in writable),
        presets=None if presets is None else {renames.get(name, name): value for name, value in presets.items()},
    )


def covered(holder: Permissions, grant: Grant) -> bool:
    """Whether someone's permissions give all that a grant gives: every action, with no rule that is wider."""
    return all(
        any(_as_wide(held, grant) for held in holder.alternatives(action, grant.resource, grant.pipeline_id))
        for action in grant.actions
    )


def _as_wide(held: Grant, grant: Grant) -> bool:
    return (
        (held.row_rule is None or held.row_rule == grant.row_rule)
        and _fields_as_wide(held.readable_fields, grant.readable_fields)
        and _fields_as_wide(held.writable_fields, grant.writable_fields)
        and (held.presets is None or held.presets == grant.presets)
    )


def _fields_as_wide(held: frozenset[str] | None, given: frozenset[str] | None) -> bool:
    return held is None or (given is not None and given <= held)


def require_covered(holder: Permissions, grants: Iterable[Grant]) -> None:
    """`Forbidden` where a grant gives more than its giver has."""
    beyond = [grant for grant in grants if not covered(holder, grant)]
    if beyond:
        raise Forbidden(f"Nobody gives or takes what they do not have: {_tell(beyond[0])}", code="beyond-own-grants")


def _tell(grant: Grant) -> str:
    of = f" of pipeline {grant.pipeline_id}" if grant.pipeline_id else ""
    return f"'{', '.join(grant.actions)}' on '{grant.resource}'{of}"
