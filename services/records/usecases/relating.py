"""The relationships of what is written: whether their other ends are there, what deleting takes along."""

from collections.abc import Container, Iterator, Mapping, Sequence
from uuid import UUID

from libs.common.errors import Conflict, Fault, Invalid
from services.records.domain.records import Edge
from services.records.storage import definitions, edges, records, users
from services.records.usecases.people import Strangers
from services.records.usecases.plan import Failures, Plan
from services.records.usecases.scope import Scope

MAX_CASCADE = 10_000


async def check_targets(scope: Scope, plan: Plan) -> Failures:
    """Fails what is related to records that the caller does not see; the others stay until the transaction ends."""
    wanted: dict[UUID, set[UUID]] = {}
    for index, added in plan.added.items():
        for edge in added:
            pipeline_id, record_id = _other_end(edge, plan.changes[index].after.id)
            wanted.setdefault(pipeline_id, set()).add(record_id)
    seen: set[UUID] = set()
    for pipeline_id, ids in sorted(wanted.items()):
        seen |= await scope.seen(pipeline_id, ids)
    return {
        index: Invalid(errors=faults)
        for index, added in plan.added.items()
        if (faults := list(_missing(added, plan.changes[index].after.id, seen)))
    }


async def check_users(scope: Scope, plan: Plan) -> Failures:
    """Fails what names users who are not there; auth is asked before for those who were not heard of."""
    met, people = scope.caller.met, scope.caller.catalog.people
    wanted = {user for named in plan.users.values() for _, user in named} - {scope.caller.principal.id}
    known = await users.known(scope.connection, scope.tenant_id, wanted) | {scope.caller.principal.id, *met.people}
    unheard = [it for it in wanted - known if not people.absent(scope.tenant_id, it)]
    if strangers := met.unasked(unheard):
        raise Strangers(ids=strangers)
    return {
        index: Invalid(errors=faults)
        for index, named in plan.users.items()
        if (faults := [_no_user(name, user) for name, user in named if user not in known])
    }


async def cascade(scope: Scope, plan: Plan) -> Failures:
    """Plans to delete what depends on deleted records; fails where others hold on to them."""
    roots = {c.after.id: index for index, c in plan.changes.items() if c.operation == "deleted"}
    if not roots:
        return {}
    closure, restricted = await holders(scope, roots)
    along = await records.lock_any(scope.connection, scope.tenant_id, sorted(closure.keys() - roots.keys()))
    plan.cascaded += [scope.trashing(row) for row in along.values() if not row.deleted]
    return {
        index: Conflict(f"Other records hold on to this one by '{edge.type}'", code="restricted")
        for index, edge in restricted.items()
    }


async def holders(scope: Scope, roots: Mapping[UUID, int]) -> tuple[dict[UUID, int], dict[int, Edge]]:
    """What goes along when these are deleted, by root; and the roots that others' relationships hold on to."""
    closure, restricted, ahead = dict(roots), dict[int, Edge](), dict(roots)
    while ahead:
        found = await edges.incoming(scope.connection, scope.tenant_id, ahead, MAX_CASCADE)
        rules = await definitions.delete_rules(scope.connection, scope.tenant_id, {edge.type for edge in found})
        held = [edge for edge in found if edge.source_id not in closure]
        ahead = {e.source_id: closure[e.target_id] for e in held if rules.get(e.type) == "cascade"}
        restricted |= {closure[e.target_id]: e for e in held if rules.get(e.type) == "restrict"}
        closure |= ahead
        if len(closure) > MAX_CASCADE:
            raise Conflict(f"More than {MAX_CASCADE} records would be deleted with it", code="too-many-dependents")
    return closure, restricted


async def relate(scope: Scope, plan: Plan) -> Failures:
    """Writes the relationships that come and deletes those that go; fails where there is no room.

    Those of records in the trash take none, until these are restored.
    """
    plan.gone = await edges.delete_of_fields(scope.connection, scope.tenant_id, plan.removed)
    trashed = [c.after.id for c in (*plan.changes.values(), *plan.cascaded) if c.operation == "deleted"]
    if trashed:
        await edges.park(scope.connection, scope.tenant_id, trashed)
    added = [edge for new in plan.added.values() for edge in new]
    made = await edges.insert(scope.connection, scope.caller.principal, scope.caller.now, added)
    return {index: Invalid(errors=faults) for index, new in plan.added.items() if (faults := list(_crowded(new, made)))}


def _no_user(name: str, user: UUID) -> Fault:
    return Fault(f"/data/{name}", "not_found", f"There is no user {user}")


def cardinality_fault(edge: Edge, place: int = 0) -> Fault:
    """The fault of a relationship for which there is no room."""
    return Fault(_pointer(edge, place), "cardinality", f"'{edge.type}' does not allow another relationship here")


def _pointer(edge: Edge, place: int) -> str:
    return f"/data/{edge.field}" if edge.field else f"/relationships/{place}"


def _placed(added: Sequence[Edge]) -> Iterator[tuple[int, Edge]]:
    """Relationships with their places among those that were asked for as such, and not by a field."""
    place = 0
    for edge in added:
        yield place, edge
        place += not edge.field


def _crowded(added: Sequence[Edge], made: Container[UUID]) -> Iterator[Fault]:
    return (cardinality_fault(edge, place) for place, edge in _placed(added) if edge.id not in made)


def _other_end(edge: Edge, record_id: UUID) -> tuple[UUID, UUID]:
    if edge.source_id == record_id:
        return edge.target_pipeline, edge.target_id
    return edge.source_pipeline, edge.source_id


def _missing(added: Sequence[Edge], record_id: UUID, seen: set[UUID]) -> Iterator[Fault]:
    for place, edge in _placed(added):
        _, other = _other_end(edge, record_id)
        if other not in seen and other != record_id:
            pointer = _pointer(edge, place)
            where = pointer if edge.field else f"{pointer}/target_record"
            yield Fault(where, "not_found", f"There is no record {other}")
