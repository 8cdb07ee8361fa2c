"""The pipelines that one can come to from another by relations, as one principal may see them."""

from collections.abc import Mapping
from uuid import UUID

from libs.common import filters
from libs.common.errors import Forbidden
from libs.common.filters import COLUMNS, Node, Schema
from libs.common.permissions import Action, Permissions
from services.records.domain.permissions import Access, certain_fields, compile_access, guard, readable_schema
from services.records.domain.pipelines import Pipeline, filter_field, without_target

RESOURCE = "records"


class Reach:
    """A pipeline and all that its relations lead to, compiled for one principal's permissions."""

    def __init__(self, root: UUID, pipelines: Mapping[UUID, Pipeline], permissions: Permissions) -> None:
        self.pipeline = pipelines[root]
        self._pipelines = pipelines
        self._permissions = permissions
        self._full = _full_schemas(pipelines)
        self._accesses: dict[tuple[UUID, str], Access] = {}
        self._guarded: dict[UUID, Schema | None] = {}
        self._schema: Schema | None = None

    def access(self, action: Action, pipeline_id: UUID | None = None) -> Access:
        """What the action may be done to; without any grant it gives nothing."""
        key = (pipeline_id or self.pipeline.id, action)
        found = self._accesses.get(key)
        if found is None:
            pipeline = self._pipelines[key[0]]
            grants = self._permissions.alternatives(action, RESOURCE, pipeline.id)
            found = self._accesses[key] = compile_access(pipeline, grants, self._full[pipeline.id])
        return found

    def require(self, action: Action) -> Access:
        """The access to this pipeline, or `Forbidden` where no grant gives any."""
        found = self.access(action)
        if not found.alternatives:
            raise Forbidden(f"'{action}' on the records of this pipeline needs a grant that none of your roles gives")
        return found

    def leads_to(self, pipeline_id: UUID) -> bool:
        """Whether a pipeline that relations lead to exists."""
        return pipeline_id in self._pipelines

    @property
    def schema(self) -> Schema:
        """What the principal's filters and sorts may speak of."""
        if self._schema is None:
            self._schema = Schema(self._readable(self.access("read")), pipeline_id=self.pipeline.id)
        return self._schema

    def _readable(self, access: Access) -> dict[str, filters.Field]:
        fields = dict(readable_schema(access, self._full[access.pipeline.id]))
        for field in access.pipeline.relations:
            if field.name in fields:
                target = self._target(field.target_pipeline) if field.target_pipeline else None
                fields[field.name] = filter_field(field, target)
        return fields

    def _target(self, pipeline_id: UUID) -> Schema | None:
        if pipeline_id in self._guarded:
            return self._guarded[pipeline_id]
        if pipeline_id not in self._pipelines or not self.access("read", pipeline_id).alternatives:
            return None
        access = self.access("read", pipeline_id)
        fields: dict[str, filters.Field] = {}
        found = Schema(fields, guard(access), pipeline_id, self._full[pipeline_id])
        self._guarded[pipeline_id] = found
        certain = certain_fields(access)
        shown = self._readable(access)
        fields.update({name: field for name, field in shown.items() if _certain(name, access, certain)})
        return found


def _certain(name: str, access: Access, certain: frozenset[str] | None) -> bool:
    if certain is None:
        return True
    if name == "title":
        return access.pipeline.title_fields <= certain
    return name in COLUMNS or name.partition(".")[0] in certain


def _full_schemas(pipelines: Mapping[UUID, Pipeline]) -> dict[UUID, Schema]:
    fields: dict[UUID, dict[str, filters.Field]] = {pipeline_id: {} for pipeline_id in pipelines}
    schemas = {pipeline_id: Schema(fields[pipeline_id], pipeline_id=pipeline_id) for pipeline_id in pipelines}
    for pipeline_id, pipeline in pipelines.items():
        reaching = {
            field.name: filter_field(field, schemas.get(field.target_pipeline) if field.target_pipeline else None)
            for field in pipeline.relations
        }
        fields[pipeline_id].update({**without_target(pipeline), **reaching, **COLUMNS})
    return schemas


def fields_used(node: Node | None) -> frozenset[str]:
    """The fields of the pipeline itself that a filter speaks of."""
    match node:
        case None:
            return frozenset()
        case filters.And(nodes) | filters.Or(nodes):
            return frozenset().union(*(fields_used(inner) for inner in nodes))
        case filters.Not(inner):
            return fields_used(inner)
        case filters.Compare(path) | filters.Some(path) | filters.NoneOf(path):
            return frozenset((path[0],))


def shown_by(pipeline: Pipeline, names: frozenset[str]) -> frozenset[str]:
    """The fields of data that must be visible where these names are used."""
    roots = (name.partition(".")[0] for name in names)
    own = frozenset(name for name in roots if name in pipeline.fields)
    return own | pipeline.title_fields if "title" in names else own
