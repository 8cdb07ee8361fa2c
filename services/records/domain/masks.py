"""Which relation fields a principal may see: a relationship that a hidden one made is not shown, and not walked."""

from uuid import UUID

from libs.common.permissions import Permissions
from services.records.domain.permissions import Fields, common
from services.records.domain.reach import RESOURCE


class Masks:
    """The fields of each pipeline that may be seen in every record that may be.

    A field that grants show in some records only is not stepped through, as it is not by filters.
    """

    def __init__(self, permissions: Permissions) -> None:
        named = {grant.pipeline_id for grant in permissions.grants if grant.pipeline_id is not None}
        everywhere = [it for it in permissions.grants if it.covers("read", RESOURCE, None)]
        self._others = common(it.readable_fields for it in everywhere)
        self._named = {
            pipeline_id: common(it.readable_fields for it in permissions.alternatives("read", RESOURCE, pipeline_id))
            for pipeline_id in named
        }

    @staticmethod
    def hide_nothing(permissions: Permissions) -> bool:
        """Whether one grant lets all records of all pipelines be seen as they are."""
        everywhere = permissions.alternatives("read", RESOURCE)
        return any(it.row_rule is None and it.readable_fields is None for it in everywhere)

    def shows(self, pipeline_id: UUID, field: str) -> bool:
        """Whether a relationship may be seen that a field of the pipeline made; that of none may."""
        certain = self._named.get(pipeline_id, self._others)
        return not field or certain is None or field in certain

    def condition(self, params: list[object]) -> str:
        """SQL for the relationships `e` that may be seen, to go on with; empty for who may see all."""
        if self._others is None and all(certain is None for certain in self._named.values()):
            return ""
        cases = [
            f"when e.source_pipeline = {_bound(params, pipeline_id, 'uuid')} then {_among(params, certain)}"
            for pipeline_id, certain in self._named.items()
        ]
        otherwise = _among(params, self._others)
        shown = f"case {' '.join(cases)} else {otherwise} end" if cases else otherwise
        return f"and (e.field = '' or {shown})"


def _among(params: list[object], certain: Fields) -> str:
    return "true" if certain is None else f"e.field = any({_bound(params, sorted(certain), 'text[]')})"


def _bound(params: list[object], value: object, kind: str) -> str:
    params.append(value)
    return f"${len(params)}::{kind}"
