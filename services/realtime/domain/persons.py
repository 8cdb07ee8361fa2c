"""Taking a person's name out of what was told of them."""

from typing import Any


def renamed(told: Any, person_id: str, name: str) -> Any:
    """A JSON value in which whoever has this id, beside a name, has another name."""
    if isinstance(told, list):
        return [renamed(it, person_id, name) for it in told]
    if not isinstance(told, dict):
        return told
    after = {key: renamed(value, person_id, name) for key, value in told.items()}
    return after | {"name": name} if after.get("id") == person_id and "name" in after else after
