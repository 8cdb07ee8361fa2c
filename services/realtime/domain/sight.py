"""What of a pipeline's records one principal may see, and what of a change it is told.

A grant may have a row rule and readable fields. A record is visible where the rule of some grant holds; the fields
that may be read are those of all grants whose rules hold.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from libs.common import clock, filters
from libs.common.errors import Invalid
from libs.common.filters import COLUMNS
from libs.common.filters.renaming import renamed_condition
from libs.common.permissions import Grant
from services.realtime.domain.changes import Change, State
from services.realtime.domain.definitions import TITLE, Definition

Kind = Literal["record_created", "record_updated", "record_deleted", "record_entered", "record_left"]
Tree = object

_USER = b'"$user"'
_NOWHERE: Callable[[str], State | None] = lambda _: None  # noqa: E731 - it takes what `Related` takes


@dataclass(frozen=True, slots=True)
class Mask:
    """The fields that may be read; None is all of them."""

    fields: frozenset[str] | None = None

    def covers(self, name: str) -> bool:
        """Whether a field may be read."""
        return self.fields is None or name in self.fields


EVERYTHING = Mask()


class Condition:
    """A filter tree made ready for one pipeline and one user; what it says of now is judged anew each time.

    Days, weeks and months begin in the zone.
    """

    def __init__(self, tree: Tree, schema: filters.Schema, user: str, time_zone: str) -> None:
        self._schema = schema
        self._zone = clock.zone(time_zone)
        self._user = user
        self._node = filters.parse_tree(tree, schema)
        self.names = frozenset(names(tree))
        moving = filters.is_relative(self._node, schema)
        self._predicate = None if moving else self._compiled()

    def passes(self, state: State) -> bool:
        """Whether a record passes."""
        predicate = self._predicate or self._compiled()
        return predicate(state, _NOWHERE)

    def _compiled(self) -> filters.Predicate:
        return filters.compile(self._node, self._schema, filters.Context(clock.now(), self._user, self._zone))


@dataclass(frozen=True, slots=True)
class Alternative:
    """One grant: where it holds, and what it shows there."""

    rule: Condition | None
    mask: Mask


class Sight:
    """The union of a principal's grants to read the records of one pipeline."""

    def __init__(self, alternatives: Iterable[Alternative], definition: Definition, reaching: bool = False) -> None:
        every = tuple(alternatives)
        whole = next((a for a in every if a.rule is None and a.mask.fields is None), None)
        self._alternatives = (whole,) if whole else every
        self._fixed = _union(self._alternatives) if all(a.rule is None for a in self._alternatives) else None
        self._definition = definition
        self.asks = reaching and whole is None
        """Whether a rule looks at other records, so that only the records service can judge it."""

    def of(self, state: State) -> Mask | None:
        """What may be seen of a record, or None where it is not visible."""
        return self._fixed or _union(a for a in self._alternatives if a.rule is None or a.rule.passes(state))

    def always(self, name: str) -> bool:
        """Whether a field may be read of every record that is visible."""
        return not self.asks and all(a.mask.covers(name) for a in self._alternatives)

    def readable(self) -> frozenset[str] | None:
        """The fields that may be read of at least some records; None is all."""
        mask = _union(self._alternatives)
        return frozenset() if mask is None else mask.fields

    def shows(self, names: frozenset[str], mask: Mask) -> bool:
        """Whether a filter may speak of these fields where a mask holds, so that nobody guesses what is hidden."""
        data = names - COLUMNS.keys()
        return (mask.fields is None or data <= mask.fields) and (TITLE not in names or self.titled(mask))

    def titled(self, mask: Mask) -> bool:
        """Whether the title may be shown with a mask."""
        return self._definition.title_shown(mask.fields)


def _union(alternatives: Iterable[Alternative]) -> Mask | None:
    found = [a.mask.fields for a in alternatives]
    if not found:
        return None
    if None in found:
        return EVERYTHING
    return Mask(frozenset().union(*(fields for fields in found if fields is not None)))


def compile_sight(grants: Iterable[Grant], definition: Definition, user: str) -> Sight:
    """The sight of the grants to read; one whose rule does not fit the pipeline (any more) gives nothing."""
    every = _up_to_date(grants, definition)
    schema = definition.schema()
    parts = definition.parts
    zone = definition.time_zone
    found = (_alternative(grant, schema, user, zone) for grant in every if not reaches(grant.row_rule, parts))
    return Sight((a for a in found if a), definition, any(reaches(grant.row_rule, parts) for grant in every))


def _up_to_date(grants: Iterable[Grant], definition: Definition) -> tuple[Grant, ...]:
    """Grants by the present names of fields, whether their role has heard of these or not; roles let those follow that
    are of one pipeline.
    """
    if not (aliases := definition.aliases):
        return tuple(grants)
    return tuple(_renamed(grant, aliases) if grant.pipeline_id == definition.id else grant for grant in grants)


def _renamed(grant: Grant, aliases: Mapping[str, str]) -> Grant:
    rule = grant.row_rule and renamed_condition(grant.row_rule, aliases)
    fields = grant.readable_fields
    readable = None if fields is None else frozenset(aliases.get(name, name) for name in fields)
    return msgspec.structs.replace(grant, row_rule=rule, readable_fields=readable)


def _alternative(grant: Grant, schema: filters.Schema, user: str, zone: str) -> Alternative | None:
    try:
        rule = Condition(grant.row_rule, schema, user, zone) if grant.row_rule else None
    except Invalid:
        return None
    return Alternative(rule, Mask(grant.readable_fields))


def reaches(tree: Tree, parts: Container[str] = ()) -> bool:
    """Whether a filter tree looks at other records; `parts` are paths that do not."""
    if isinstance(tree, list):
        return any(reaches(item, parts) for item in tree)
    if not isinstance(tree, dict):
        return False
    field = tree.get("field")
    related = "some" in tree or "none" in tree or tree.get("op") in ("some", "none")
    if related or (isinstance(field, str) and "." in field and field not in parts):
        return True
    return any(reaches(tree[key], parts) for key in ("and", "or", "not") if key in tree)


def names(tree: Tree) -> Iterator[str]:
    """The fields of the record itself that a filter tree speaks of; of a path the first step."""
    if isinstance(tree, list):
        for item in tree:
            yield from names(item)
    elif isinstance(tree, dict):
        if isinstance(tree.get("field"), str):
            yield tree["field"].partition(".")[0]
        for key in ("and", "or", "not"):
            yield from names(tree.get(key))
        for key in ("some", "none"):
            if isinstance(related := tree.get(key), dict):
                yield str(related.get("field", "")).partition(".")[0]


def personal(tree: Tree) -> bool:
    """Whether a filter tree may mean something else for another user."""
    return _USER in msgspec.json.encode(tree)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a change is to a subscriber, and what may be shown of the record."""

    kind: Kind
    mask: Mask


def judge(change: Change, sight: Sight, where: Condition | None) -> Verdict | None:
    """What a subscriber with this sight and filter is told of a change; None is nothing."""
    after = None if change.verb == "deleted" else _seen(sight, where, change, after=True)
    before = None if change.verb in ("created", "restored") else _seen(sight, where, change, after=False)
    if after is not None:
        if change.verb in ("created", "restored"):
            return Verdict("record_created", after)
        return Verdict("record_updated" if before else "record_entered", after)
    if before is not None:
        return Verdict("record_deleted" if change.verb == "deleted" else "record_left", before)
    return None


def _seen(sight: Sight, where: Condition | None, change: Change, after: bool) -> Mask | None:
    if where is None and sight._fixed is not None:
        return sight._fixed
    state = change.after if after else change.before
    mask = sight.of(state)
    if mask is None or where is None:
        return mask
    return mask if sight.shows(where.names, mask) and where.passes(state) else None
