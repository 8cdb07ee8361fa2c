"""What computed fields of records come to, read in the transaction that is open."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from libs.common.errors import Invalid
from libs.common.filters import Context
from libs.common.postgres import Connection
from services.records.domain.computing import Across
from services.records.domain.fields import Data
from services.records.domain.operations import related_ids
from services.records.domain.pipelines import Pipeline, schema
from services.records.storage import computing, definitions
from services.records.usecases.heavy import Heavy

CACHED = 1_000
_TIMELESS = Context(datetime(1970, 1, 1, tzinfo=UTC), None)
_compiled: dict[tuple[UUID, UUID, int, int], Pipeline] = {}

Row = tuple[UUID, Data]


async def pipeline(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Pipeline | None:
    """A pipeline by its newest definition that was heard of, which holds until the transaction ends."""
    held = await computing.hold(connection, tenant_id, pipeline_id)
    if held.version is None:
        return None
    key = tenant_id, pipeline_id, held.version, held.pending or 0
    if key not in _compiled:
        definition = await definitions.pipeline(connection, tenant_id, pipeline_id)
        if definition is None:
            return None
        if len(_compiled) >= CACHED:
            _compiled.clear()
        _compiled[key] = Pipeline(definition)
    return _compiled[key]


async def known(connection: Connection, tenant_id: UUID, pipeline_id: UUID) -> Pipeline | None:
    """A pipeline by the newest definition that was heard of, by now."""
    definition = await definitions.pipeline(connection, tenant_id, pipeline_id)
    return None if definition is None else Pipeline(definition)


async def across(
    connection: Connection, tenant_id: UUID, looking: Sequence[Across], rows: Sequence[Row], own: Pipeline, heavy: Heavy
) -> dict[UUID, dict[str, Any]]:
    """The values of lookups and rollups for records with these data: by record, by field. What looks at a field that
    goes by another name by now is left as it is: its own definition follows, and then it is computed anew.
    """
    found: dict[UUID, dict[str, Any]] = {record_id: {} for record_id, _ in rows}
    targets: dict[UUID, Pipeline | None] = {own.id: own}
    for it in looking:
        if it.target not in targets:
            targets[it.target] = await pipeline(connection, tenant_id, it.target)
        values = await _gathered(connection, tenant_id, it, targets[it.target], rows, heavy)
        if values is not None:
            for record_id in found:
                found[record_id][it.name] = values.get(record_id, it.of_none)
    return found


async def _gathered(
    connection: Connection, tenant_id: UUID, it: Across, target: Pipeline | None, rows: Sequence[Row],
    heavy: Heavy,
) -> Mapping[UUID, Any] | None:  # fmt: skip
    if target is None:
        return {}
    if it.field is not None and it.field not in target.fields:
        return None
    path = [it.field or ""]
    if it.field is not None and target.fields[it.field].type == "currency":
        path.append("amount")
    near, far = [record_id for record_id, _ in rows], None
    if it.own:
        held = [(record_id, UUID(one)) for record_id, data in rows for one in related_ids(data.get(it.relation))]
        near, far = [one for one, _ in held], [other for _, other in held]
    if not near:
        return {}
    try:
        known, data = schema(target), target.data("m") if target.renaming else None
        values, sources = await computing.gather(connection, tenant_id, it, known, path, _TIMELESS, near, far, data)
    except Invalid:
        # The filter speaks of what is not there any more.
        return None
    heavy.learn(tenant_id, it.name, near, sources)
    return values


def with_values(own: Pipeline, data: Mapping[str, object], values: Mapping[str, Any]) -> Data:
    """Data with computed values, and what formulas make of them."""
    found = {**data, **values}
    made = {name: value for name, value in found.items() if value is not None}
    if own.computing is not None:
        own.computing.fill(made)
    return made
