"""From one definition to the next: what changes, and what that asks of the records that are there.

Records go by names of fields. A key with `@` is one of the trash of fields, or of claims made for one definition.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec.structs import replace

from libs.common.errors import Conflict
from libs.common.identity import Principal, PrincipalKind
from services.pipelines.domain.fields import AnyField, ComputedField, NumberField, RelationField, StageField

HIDDEN = "@"

Kind: TypeAlias = Literal[
    "field_added", "field_removed", "field_renamed", "field_restored", "type_changed", "options_changed",
    "constraint_changed", "made_required", "made_optional", "made_unique", "made_not_unique", "made_indexed",
    "made_not_indexed", "made_searchable", "made_not_searchable", "described_differently",
]  # fmt: skip
Effect: TypeAlias = Literal["none", "keep", "convert", "fill", "unique", "compute"]

CONVERTIBLE = frozenset(
    ("text", "textarea", "number", "rating", "boolean", "date", "datetime", "email", "url", "phone", "select",
     "multiselect", "stage", "tags", "duration", "json")
)  # fmt: skip
TREATMENTS: Mapping[Effect, str] = {
    "none": "values stay as they are",
    "keep": "values that do not fit stay until they are next changed",
    "convert": "values that do not fit are taken out of the field; a rollback brings them back",
    "fill": "records without a value get the default; without one they stay until they are next changed",
    "unique": "while several records have the same value the field cannot become unique",
    "compute": "values are computed anew for all records",
}
_WORDS = ("label", "help", "default")
_CHOICES = ("options", "stages", "transitions")
_FLAGS: tuple[tuple[str, Kind, Kind], ...] = (
    ("required", "made_required", "made_optional"),
    ("unique", "made_unique", "made_not_unique"),
    ("indexed", "made_indexed", "made_not_indexed"),
    ("searchable", "made_searchable", "made_not_searchable"),
)


class Move(msgspec.Struct, frozen=True):
    """Values that go by another name from now on."""

    old: str
    new: str


class By(msgspec.Struct, frozen=True):
    """Who changed a definition."""

    id: UUID
    kind: PrincipalKind
    name: str
    roles: tuple[UUID, ...] = ()


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What a definition, of which this is the version, asks of records; a job of records does it."""

    job_id: UUID
    version: int
    by: By
    moves: tuple[Move, ...] = ()
    converts: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    purges: tuple[str, ...] = ()
    computes: tuple[str, ...] = ()
    attempts: int = 1

    @property
    def names(self) -> frozenset[str]:
        """The fields that are at work."""
        moved = (name for move in self.moves for name in (move.old, move.new) if HIDDEN not in name)
        return frozenset((*moved, *self.converts, *self.fills, *self.claims))

    @property
    def renames(self) -> dict[str, str]:
        """The fields that go by other names."""
        return {move.old: move.new for move in self.moves if HIDDEN not in move.old + move.new}

    @property
    def only_removes(self) -> bool:
        """Whether nothing is done but to take values away."""
        kept = self.converts or self.fills or self.claims or self.computes
        return not kept and all(HIDDEN in move.new for move in self.moves)


class Change(msgspec.Struct, frozen=True):
    """One difference between two definitions. `name` is what the field is called until now."""

    field: str
    kind: Kind
    effect: Effect
    name: str
    after: AnyField | None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The way to another definition: its fields, and which of them are others by a new name or out of the trash."""

    fields: tuple[AnyField, ...]
    renames: dict[str, str] = {}
    restores: dict[str, str] = {}
    purge: bool = False


def by(principal: Principal) -> By:
    """Who changes a definition."""
    return By(principal.id, principal.kind, principal.name, principal.roles)


def removed(old: tuple[AnyField, ...], step: Step) -> list[AnyField]:
    """The fields that are there no more."""
    left = {field.name for field in step.fields}
    return [field for field in old if field.name not in step.renames and field.name not in _kept(left, step)]


def _kept(left: set[str], step: Step) -> set[str]:
    """The names under which fields stay: not one that another takes by a new name, or out of the trash."""
    return left - set(step.renames.values()) - {name for key, name in step.restores.items() if HIDDEN in key}


def pairs(old: tuple[AnyField, ...], step: Step) -> Iterator[tuple[AnyField | None, AnyField]]:
    """Each field with what it was before; null where it is new."""
    before = {step.renames.get(field.name, field.name): field for field in old}
    gone = {field.name for field in removed(old, step)}
    for field in step.fields:
        was = before.get(field.name)
        yield (None if was is None or was.name in gone else was), field


def differences(old: tuple[AnyField, ...], step: Step) -> list[Change]:
    """All that changes, field by field."""
    found = [Change(field.name, "field_removed", "none", field.name, None) for field in removed(old, step)]
    back = set(step.restores.values())
    for was, now in pairs(old, step):
        if was is None:
            kind: Kind = "field_restored" if now.name in back else "field_added"
            effect: Effect = "fill" if now.required and kind == "field_added" else "none"
            if isinstance(now, ComputedField):
                effect = "compute"
            found.append(Change(now.name, kind, effect, now.name, now))
        else:
            found += _between(was, now)
    return found


def _between(was: AnyField, now: AnyField) -> Iterator[Change]:
    if was.name != now.name:
        yield Change(now.name, "field_renamed", "none", was.name, now)
    converts = converting(was, now)
    if type(was) is not type(now):
        yield Change(now.name, "type_changed", "convert", was.name, now)
    else:
        options = {name for name in now.__struct_fields__ if getattr(was, name) != getattr(now, name)}
        options -= {"name", *_WORDS, *(flag for flag, _, _ in _FLAGS)}
        if options and isinstance(now, ComputedField):
            yield Change(now.name, "constraint_changed", "compute", was.name, now)
            return
        if chosen := options & set(_CHOICES):
            yield Change(now.name, "options_changed", "none" if chosen == {"transitions"} else "keep", was.name, now)
        if options - set(_CHOICES):
            yield Change(now.name, "constraint_changed", "convert" if converts else "keep", was.name, now)
        if any(getattr(was, name) != getattr(now, name) for name in _WORDS) and was.name == now.name:
            yield Change(now.name, "described_differently", "none", was.name, now)
    for flag, on, off in _FLAGS:
        if getattr(was, flag) != getattr(now, flag):
            effects: dict[Kind, Effect] = {"made_required": "fill", "made_unique": "unique"}
            kind = on if getattr(now, flag) else off
            yield Change(now.name, kind, effects.get(kind, "none"), was.name, now)


def converting(was: AnyField, now: AnyField) -> bool:
    """Whether values have to become others."""
    if isinstance(was, NumberField) and isinstance(now, NumberField):
        return was.kind != now.kind
    return type(was) is not type(now)


def convertible(was: AnyField, now: AnyField) -> bool:
    """Whether values of one field can become those of the other."""
    if type(was) is type(now):
        return all(getattr(was, name) == getattr(now, name) for name in now.fixed if name != "kind")
    return {was.type_name(), now.type_name()} <= CONVERTIBLE


def demanded(
    old: tuple[AnyField, ...], step: Step, version: int, job_id: UUID, maker: By, stashes: tuple[Move, ...] = ()
) -> Pending:
    """What a definition of that version asks of records."""
    gone = [Move(field.name, hidden(field.name, version)) for field in removed(old, step)]
    moves = [Move(was, now) for was, now in step.renames.items()]
    moves += [Move(key, name) for key, name in step.restores.items()]
    converts, fills, claims = list[str](), list[str](), list[str]()
    back = set(step.restores.values())
    for was, now in pairs(old, step):
        if was is not None and converting(was, now):
            converts.append(now.name)
        if now.required and now.default is not None and (was is None or not was.required):
            fills.append(now.name)
        if now.unique and claimed_anew(was, now) and (was is not None or now.name in back or now.name in fills):
            claims.append(now.name)
    return Pending(
        job_id=job_id, version=version, by=maker, moves=(*gone, *moves, *stashes), converts=tuple(converts),
        fills=tuple(fills), claims=tuple(claims), purges=tuple(move.new for move in gone) if step.purge else (),
        computes=_computed(old, step, bool(converts or fills or step.restores)),
    )  # fmt: skip


def _computed(old: tuple[AnyField, ...], step: Step, values_change: bool) -> tuple[str, ...]:
    """The computed fields whose values may be others: all of them, where any is new or looks at something else."""
    own = [(was, now) for was, now in pairs(old, step) if isinstance(now, ComputedField)]
    names = {*_WORDS, *(flag for flag, _, _ in _FLAGS), "name"}
    changed = values_change or any(
        was is None or any(getattr(was, it) != getattr(now, it) for it in now.__struct_fields__ if it not in names)
        for was, now in own
        if was is None or type(was) is type(now)
    )
    return tuple(now.name for _, now in own) if changed else ()


def claimed_anew(was: AnyField | None, now: AnyField) -> bool:
    """Whether the values of a unique field cannot be known by the claims that were made for it."""
    return was is None or not was.unique or type(was) is not type(now)


def claims_after(old: tuple[AnyField, ...], step: Step, claims: Mapping[str, str], version: int) -> dict[str, str]:
    """The names under which the values of unique fields are claimed. Claims made in vain are under no later name."""
    found: dict[str, str] = {}
    for was, now in pairs(old, step):
        if now.unique:
            anew = claimed_anew(was, now)
            name = hidden(now.name, version) if was is None or anew else claims.get(was.name, was.name)
            if name != now.name:
                found[now.name] = name
    return found


def hidden(name: str, version: int) -> str:
    """A key that no field has."""
    return f"{name}{HIDDEN}{version}"


def check_free(at_work: tuple[Pending, ...], changes: list[Change], asked: Pending) -> None:
    """`Conflict` where a change concerns what a job has not done with, or asks for more than to take values away."""
    if not at_work:
        return
    busy = frozenset(name for pending in at_work for name in pending.names)
    more = asked.moves or asked.converts or asked.fills or asked.claims
    touched = {name for change in changes for name in (change.field, change.name)}
    if touched & busy or (more and not asked.only_removes) or len(at_work) >= 20:
        jobs = ", ".join(str(pending.job_id) for pending in at_work)
        detail = f"Records still follow an earlier change of the definition (job {jobs}); try again when it is done"
        raise Conflict(detail, code="schema-change-running", retry_after=2)


def renamed_fields(fields: tuple[AnyField, ...], renames: Mapping[str, str]) -> tuple[AnyField, ...]:
    """The fields by their new names, also where stages require them."""
    found: list[AnyField] = []
    for field in fields:
        now: AnyField = replace(field, name=renames.get(field.name, field.name))
        if isinstance(now, StageField):
            stages = tuple(
                replace(stage, required_fields=tuple(renames.get(name, name) for name in stage.required_fields))
                for stage in now.stages
            )
            now = replace(now, stages=stages)
        found.append(now)
    return tuple(found)


def renamed_display(field: AnyField, renames: Mapping[str, str], target: UUID) -> AnyField:
    """A field that shows one of the target by its new name, where it is a relation that does."""
    if not isinstance(field, RelationField) or field.target_pipeline != target or field.display_field is None:
        return field
    return replace(field, display_field=renames.get(field.display_field, field.display_field))
