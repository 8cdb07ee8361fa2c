"""Filter trees, as JSON, of which fields go by other names."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from libs.common.ids import NIL


@dataclass(frozen=True, slots=True)
class Renaming:
    """New names of the fields of one pipeline, for filters of any that come to it over relations.

    `relations` says where relation fields lead, by their pipeline and the names that they had.
    """

    pipeline_id: UUID
    names: Mapping[str, str]
    relations: Mapping[tuple[UUID, str], UUID]

    def condition(self, when: object, at: UUID | None) -> object:
        """A filter tree of that pipeline, with each step of its paths by its new name."""
        if isinstance(when, list):
            return [self.condition(item, at) for item in when]
        if not isinstance(when, dict) or at is None:
            return when
        found = {key: self.condition(it, at) if key in ("and", "or", "not") else it for key, it in when.items()}
        for key in ("some", "none"):
            if isinstance(inner := found.get(key), dict):
                path, end = self._path(inner.get("field"), at)
                tree = {"filter": self.condition(inner["filter"], end)} if "filter" in inner else {}
                found[key] = {**inner, "field": path, **tree}
        if "field" in found:
            found["field"], end = self._path(found["field"], at)
            if found.get("op") in ("some", "none") and "value" in found:
                found["value"] = self.condition(found["value"], end)
        return found

    def _path(self, path: object, at: UUID) -> tuple[object, UUID | None]:
        if not isinstance(path, str):
            return path, None
        place: UUID | None = at
        steps: list[str] = []
        for step in path.split("."):
            steps.append(self.names.get(step, step) if place == self.pipeline_id else step)
            place = None if place is None else self.relations.get((place, step))
        return ".".join(steps), place


def renamed_condition(when: object, renames: Mapping[str, str]) -> object:
    """A filter tree of a pipeline's own fields by their new names."""
    return Renaming(NIL, renames, {}).condition(when, NIL)


def renamed_path(path: str, renames: Mapping[str, str]) -> str:
    """A path whose first step goes by its new name."""
    first, dot, rest = path.partition(".")
    return f"{renames.get(first, first)}{dot}{rest}"
