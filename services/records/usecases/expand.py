"""Put the records that relations lead to beside those that hold them: one query per relation and level."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.postgres import Connection
from services.records.domain.expansion import Tree
from services.records.domain.operations import related_ids
from services.records.domain.permissions import Access
from services.records.domain.reach import Reach
from services.records.storage import records
from services.records.usecases.caller import Caller

MAX_RELATED = 5_000


class Row(msgspec.Struct, frozen=True):
    """A record's body, and as JSON text what its relations hold."""

    id: UUID
    body: str
    links: str | None


async def expanded(
    caller: Caller, reach: Reach, connection: Connection, access: Access, tree: Tree, rows: Sequence[Row]
) -> list[str]:
    """The bodies with `expanded`: by relation the record, or the list of them, that may be seen."""
    if not tree:
        return [row.body for row in rows]
    held = [msgspec.json.decode(row.links or "{}", type=dict[str, object]) for row in rows]
    found = {
        name: await _level(caller, reach, connection, access, name, subtree, held) for name, subtree in tree.items()
    }
    return [
        f'{row.body[:-1]},"expanded":{{{_members(access, values, found)}}}}}'
        for row, values in zip(rows, held, strict=True)
    ]


async def _level(
    caller: Caller, reach: Reach, connection: Connection, access: Access, name: str, tree: Tree,
    held: Sequence[Mapping[str, object]],
) -> dict[str, str]:  # fmt: skip
    ids = {item for values in held for item in related_ids(values.get(name))}
    if len(ids) > MAX_RELATED:
        detail = f"At most {MAX_RELATED} related records are expanded at once; ask for a smaller page"
        raise Invalid(errors=[Fault("/expand", "too_many", detail)])
    target_id = access.pipeline.fields[name].target_pipeline
    assert target_id is not None
    target = reach.access("read", target_id)
    wanted = [UUID(item) for item in ids]
    found = await records.bodies(connection, caller.tenant_id, wanted, target, caller.context, related=frozenset(tree))
    rows = [Row(record_id, body, text) for record_id, (body, text) in found.items()]
    bodies = await expanded(caller, reach, connection, target, tree, rows)
    return {str(row.id): body for row, body in zip(rows, bodies, strict=True)}


def _members(access: Access, values: Mapping[str, object], found: Mapping[str, Mapping[str, str]]) -> str:
    return ",".join(f'"{name}":{_member(access, name, values, bodies)}' for name, bodies in found.items())


def _member(access: Access, name: str, values: Mapping[str, object], bodies: Mapping[str, str]) -> str:
    present = [bodies[item] for item in related_ids(values.get(name)) if item in bodies]
    if access.pipeline.fields[name].many:
        return f"[{','.join(present)}]"
    return present[0] if present else "null"
