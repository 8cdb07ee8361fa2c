"""Inheritance, and what roles add up to."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from libs.common.permissions import Grant
from services.auth.domain import roles
from services.auth.domain.roles import Role

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def role(number: int, *inherits: int, resource: str = "records") -> Role:
    """A role with one grant."""
    parents = tuple(UUID(int=parent) for parent in inherits)
    grant = Grant(resource, ("read",), pipeline_id=UUID(int=number))
    return Role(UUID(int=number), f"r{number}", "R", False, parents, (grant,), 1, NOW, NOW)


def catalogue(*made: Role) -> dict[UUID, Role]:
    """Roles by id."""
    return {it.id: it for it in made}


def test_a_diamond_is_inherited_once() -> None:
    """What comes by two ways is there once, nearest first."""
    known = catalogue(role(1, 2, 3), role(2, 4), role(3, 4), role(4))
    flat = roles.flatten(known, UUID(int=1))
    assert [grant.pipeline_id and grant.pipeline_id.int for grant in flat] == [1, 2, 3, 4]
    assert {it.id.int for it in roles.heirs(known, UUID(int=4))} == {1, 2, 3, 4}


@given(st.dictionaries(st.integers(0, 6), st.sets(st.integers(0, 6), max_size=4), max_size=7), st.data())
def test_no_accepted_inheritance_closes_a_circle(wanted: dict[int, set[int]], data: st.DataObject) -> None:
    """However roles are made to inherit one after another, none ever comes to inherit from itself."""
    known = catalogue(*(role(number) for number in range(7)))
    for number in data.draw(st.permutations(sorted(wanted))):
        parents = tuple(UUID(int=parent) for parent in sorted(wanted[number]))
        if not roles.check_inherits(known, UUID(int=number), parents):
            known[UUID(int=number)] = role(number, *sorted(wanted[number]))
    for number in range(7):
        above = [it for parent in known[UUID(int=number)].inherits for it in roles.lineage(known, parent)]
        assert UUID(int=number) not in {it.id for it in above}


def test_slugs_of_names() -> None:
    """Letters lose their marks, the rest becomes hyphens; a name without letters gives none."""
    assert roles.slug_of("Vertrieb Öst & West") == "vertrieb-ost-west"
    assert roles.check_slug(roles.slug_of("東京"))[0].code == "invalid_slug"
