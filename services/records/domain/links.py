"""What is open to whoever has a link: tokens, what is shown, and what is taken."""

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from libs.common.clock import rfc3339
from libs.common.errors import Fault
from services.records.domain.definitions import Field
from services.records.domain.pipelines import Pipeline

LinkKind: TypeAlias = Literal["record", "view", "form"]
MAX_LINKS = 1000
MAX_TOKEN = 100
UNFIT = ("file", "relation", "user", "auto_number", "formula", "lookup", "rollup", "button")
"""Fields of these types are not asked for in forms: a stranger can name no file, record or person."""


class Sharing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a link to a record shows (null: all that its maker may read), and whether that may be changed.

    `secret` seals the cursors of a list, which hold what it is sorted by, also where that is not shown.
    """

    fields: tuple[str, ...] | None = None
    editable: bool = False
    secret: str = ""


class FormSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A form: which fields it asks for and which it requires, what it sets besides, and what it says.

    `token` is a part of its public address; `secret` seals what proves that a form was looked at before it was sent.
    """

    token: str
    secret: str
    name: str
    fields: tuple[str, ...]
    required: tuple[str, ...] = ()
    presets: dict[str, Any] = {}
    description: str | None = None
    thank_you: str | None = None
    min_seconds: int = 2


class SharedField(msgspec.Struct, frozen=True):
    """A field as whoever has a link sees it."""

    name: str
    label: str | None
    type: str


class SharedRecord(msgspec.Struct, frozen=True):
    """A record as whoever has a link sees it: nobody's id but its own."""

    id: UUID
    version: int
    title: str
    data: dict[str, Any]
    updated_at: str


class ShownRecord(msgspec.Struct):
    """Of a record as the API shows it, what a link may show."""

    id: UUID
    version: int
    title: str
    data: dict[str, Any]
    updated_at: str


def new_token() -> str:
    """A token that cannot be guessed: 192 bits."""
    return secrets.token_urlsafe(24)


def hash_of(token: str) -> bytes:
    """By what a token is found."""
    return sha256(token.encode("utf-8", "replace")).digest()


def shared(body: str | bytes, pipeline: Pipeline, fields: Iterable[str] | None) -> SharedRecord:
    """What a link shows of a record's body; a title only where all that it is made of is shown."""
    found = msgspec.json.decode(body, type=ShownRecord)
    shown = None if fields is None else frozenset(fields)
    data = {name: value for name, value in found.data.items() if shown is None or name in shown}
    titled = shown is None or pipeline.title_fields <= shown
    return SharedRecord(found.id, found.version, found.title if titled else "", data, found.updated_at)


def shared_fields(pipeline: Pipeline, names: Iterable[str]) -> list[SharedField]:
    """Fields as whoever has a link sees them, in the pipeline's order."""
    shown = frozenset(names)
    return [SharedField(f.name, f.label, f.type) for f in pipeline.fields.values() if f.name in shown]


def form_faults(pipeline: Pipeline, it: FormSettings, writable: Iterable[str]) -> list[Fault]:
    """What of a form does not fit its pipeline, or what its owner may write."""
    known, faults = frozenset(writable), list[Fault]()
    for place, name in enumerate(it.fields):
        field = pipeline.fields.get(name)
        if field is None or name not in known:
            faults.append(Fault(f"/fields/{place}", "unknown_field", f"There is no field '{name}' that you may write"))
        elif field.type in UNFIT:
            faults.append(Fault(f"/fields/{place}", "not_here", f"A form cannot ask for a field of type {field.type}"))
    for place, name in enumerate(it.required):
        if name not in it.fields:
            faults.append(Fault(f"/required/{place}", "unknown_field", f"The form does not ask for '{name}'"))
    for name in it.presets:
        if name not in known or name in it.fields:
            faults.append(Fault(f"/presets/{name}", "unknown_field", f"'{name}' cannot be set besides"))
    asked = {*it.fields, *it.presets}
    lacking = (f for f in pipeline.fields.values() if _needed(f) and f.name not in asked)
    return faults + [
        Fault("/fields", "required", f"'{field.name}' is required and has no default") for field in lacking
    ]


def _needed(field: Field) -> bool:
    return field.required and field.default is None and field.type != "auto_number"


def form_schema(schema: Mapping[str, Any], it: FormSettings) -> dict[str, Any]:
    """The JSON Schema of a form's data: of the pipeline's, what the form asks for."""
    properties = {name: schema["properties"][name] for name in it.fields if name in schema["properties"]}
    required = [name for name in it.fields if name in it.required or name in schema.get("required", ())]
    return {
        "$schema": schema["$schema"], "title": it.name, "type": "object", "properties": properties,
        "required": required, "additionalProperties": False,
    }  # fmt: skip


def lacking(it: FormSettings, given: Mapping[str, object]) -> list[Fault]:
    """The faults of what a form requires, and of what it does not ask for."""
    blank: tuple[object, ...] = (None, "", [], {})
    strange = (name for name in given if name not in it.fields)
    faults = [Fault(f"/data/{name}", "unknown_field", f"There is no field '{name}'") for name in strange]
    empty = (name for name in it.required if given.get(name) in blank and given.get(name) is not False)
    return faults + [Fault(f"/data/{name}", "required", f"'{name}' is required") for name in empty]


def renamed(settings: Mapping[str, Any], renames: Mapping[str, str]) -> dict[str, Any]:
    """What a link says, with fields by their new names."""
    found = dict(settings)
    for key in ("fields", "required"):
        if found.get(key):
            found[key] = list(dict.fromkeys(renames.get(name, name) for name in found[key]))
    if found.get("presets"):
        found["presets"] = {renames.get(name, name): value for name, value in found["presets"].items()}
    return found


def until(moment: Any) -> str | None:
    """A time as it is shown, if there is one."""
    return None if moment is None else rfc3339(moment)
