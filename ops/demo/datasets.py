"""A dataset: the pipeline it goes into, the field that tells its rows apart, and the rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Field = Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """Rows for one pipeline.

    A relation field names its target by slug, and a row names it by the target's key; both become ids at loading.
    `key` is a unique field, by which a row that is there already is recognized.
    """

    slug: str
    name: str
    description: str
    icon: str
    key: str
    fields: tuple[Field, ...]
    rows: Callable[[], list[Row]] = field(repr=False)

    @property
    def links(self) -> dict[str, str]:
        """The slug of the target of each relation field."""
        return {field["name"]: field["target_pipeline"] for field in self.fields if field["type"] == "relation"}


def text(name: str, label: str, **options: Any) -> Field:
    """A field of text."""
    return {"name": name, "label": label, "type": "text", **options}


def number(name: str, label: str, **options: Any) -> Field:
    """A field of numbers."""
    return {"name": name, "label": label, "type": "number", **options}


def select(name: str, label: str, options: Mapping[str, str], **more: Any) -> Field:
    """A field of one choice, from values to their labels."""
    choices = [{"value": value, "label": text} for value, text in options.items()]
    return {"name": name, "label": label, "type": "select", "options": choices, **more}


def relation(name: str, label: str, target: str, relationship_type: str, **options: Any) -> Field:
    """A field that names one record of another pipeline."""
    return {
        "name": name,
        "label": label,
        "type": "relation",
        "target_pipeline": target,
        "relationship_type": relationship_type,
        "cardinality": "many_to_one",
        "display_field": "name",
        **options,
    }
