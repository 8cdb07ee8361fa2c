"""Filter trees, as JSON, of which fields go by other names."""

from collections.abc import Mapping


def renamed_condition(when: object, renames: Mapping[str, str]) -> object:
    """A filter tree of a pipeline's own fields by their new names."""
    if isinstance(when, list):
        return [renamed_condition(item, renames) for item in when]
    if not isinstance(when, dict):
        return when
    found = {key: renamed_condition(it, renames) if key in ("and", "or", "not") else it for key, it in when.items()}
    for key in ("some", "none"):
        if isinstance(inner := found.get(key), dict):
            found[key] = {**inner, "field": renamed_path(inner.get("field"), renames)}
    if "field" in found:
        found["field"] = renamed_path(found["field"], renames)
    return found


def renamed_path(path: object, renames: Mapping[str, str]) -> object:
    """A path whose first step goes by its new name."""
    if not isinstance(path, str):
        return path
    first, dot, rest = path.partition(".")
    return f"{renames.get(first, first)}{dot}{rest}"
