"""A whole definition: reading it out of JSON, with every fault it has."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from libs.common import bodies
from libs.common.errors import Fault
from services.pipelines.domain.fields import TYPES, AnyField, RelationField, StageField, complete
from services.pipelines.domain.names import color_faults, slug_faults
from services.pipelines.domain.titles import template_faults
from services.pipelines.domain.values import misfits

MAX_FIELDS = 200
MAX_INDEXED = 16
MAX_DEFINITION_BYTES = 256 * 1024
MAX_FAULTS = 100
FIELDS = "/schema_definition/fields"

Fields: TypeAlias = tuple[AnyField, ...]
Placed: TypeAlias = tuple[str, AnyField]
"""A field, and the pointer to it in the body it came with."""


def read_field(value: object, pointer: str) -> tuple[AnyField | None, list[Fault]]:
    """One field out of JSON, completed, and what is wrong with it by itself; no field where its shape is wrong."""
    if not isinstance(value, dict):
        return None, [Fault(pointer, "wrong_type", "A field is an object")]
    name = value.get("type")
    cls = TYPES.get(name) if isinstance(name, str) else None
    if cls is None:
        code = "unknown_type" if "type" in value else "required"
        return None, [Fault(f"{pointer}/type", code, f"'type' is one of {', '.join(TYPES)}")]
    if found := bodies.faults(value, cls, pointer):
        return None, found
    field = complete(msgspec.convert(value, cls))
    return field, [Fault(f"{pointer}{f.pointer}", f.code, f.detail) for f in _faults(field)]


def _faults(field: AnyField) -> Iterator[Fault]:
    own = list(field.faults())
    yield from own
    if not own and field.default is not None:
        yield from (Fault("/default", "invalid_default", detail) for detail in misfits(field, field.default))


def read_fields(values: Sequence[object], pointer: str) -> tuple[list[Placed], list[Fault]]:
    """All fields whose shape is right, and all faults of all fields, alone and together."""
    if len(values) > MAX_FIELDS:
        return [], [Fault(pointer, "too_many", f"A pipeline has at most {MAX_FIELDS} fields")]
    placed: list[Placed] = []
    faults: list[Fault] = []
    for index, value in enumerate(values):
        field, found = read_field(value, f"{pointer}/{index}")
        faults += found
        if field is not None:
            placed.append((f"{pointer}/{index}", field))
    faults += _duplicates(values, pointer)
    faults += reference_faults(placed, field_names(values))
    faults += size_faults([field for _, field in placed], pointer)
    return placed, faults


def reference_faults(placed: Iterable[Placed], names: Iterable[str]) -> Iterator[Fault]:
    """What fields say about one another: required fields that exist, a type of relationship for each relation."""
    known = set(names)
    types: dict[str, str] = {}
    indexed = 0
    for pointer, field in placed:
        indexed += field.indexed
        if field.indexed and indexed > MAX_INDEXED:
            yield Fault(f"{pointer}/indexed", "too_many", f"At most {MAX_INDEXED} fields of a pipeline are indexed")
        if isinstance(field, StageField):
            for i, stage in enumerate(field.stages):
                for j, name in enumerate(stage.required_fields):
                    if name not in known:
                        at = f"{pointer}/stages/{i}/required_fields/{j}"
                        yield Fault(at, "unknown_name", f"There is no field '{name}'")
        elif isinstance(field, RelationField):
            if field.relationship_type in types:
                detail = f"'{types[field.relationship_type]}' is a relation of this type already"
                yield Fault(f"{pointer}/relationship_type", "duplicate", detail)
            types.setdefault(field.relationship_type, field.name)


def size_faults(fields: Iterable[AnyField], pointer: str) -> Iterator[Fault]:
    """A definition travels in every event of its pipeline, so it is bounded."""
    if len(msgspec.json.encode(list(fields))) > MAX_DEFINITION_BYTES:
        yield Fault(pointer, "too_large", f"A definition has at most {MAX_DEFINITION_BYTES // 1024} KiB")


def attribute_faults(value: Mapping[str, object], names: Iterable[str]) -> Iterator[Fault]:
    """What is wrong with a pipeline's slug, colour and title, given the names of its fields."""
    slug, color, template = value.get("slug"), value.get("color"), value.get("title_template")
    if isinstance(slug, str):
        yield from slug_faults(slug, "/slug")
    if isinstance(color, str):
        yield from color_faults(color, "/color")
    if isinstance(template, str):
        yield from template_faults(template, set(names), "/title_template")


def body_faults(value: Mapping[str, object]) -> list[Fault]:
    """What is wrong with a new pipeline's body besides its shape, which is wrong somewhere already."""
    schema = value.get("schema_definition")
    values = schema.get("fields") if isinstance(schema, dict) else None
    if not isinstance(values, list):
        return list(attribute_faults({**value, "title_template": None}, ()))
    return [*attribute_faults(value, field_names(values)), *read_fields(values, FIELDS)[1]]


def field_names(values: Sequence[object]) -> list[str]:
    """The names in fields that may be wrong otherwise."""
    named = (value.get("name") for value in values if isinstance(value, dict))
    return [name for name in named if isinstance(name, str)]


def _duplicates(values: Sequence[object], pointer: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        name = value.get("name") if isinstance(value, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield Fault(f"{pointer}/{index}/name", "duplicate", f"There is another field '{name}'")
            seen.add(name)
