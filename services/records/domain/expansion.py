"""Which relations a reader wants to see through: `expand=company,company.owner`."""

from typing import TypeAlias

import msgspec

from libs.common.errors import Fault, Invalid
from libs.common.filters import Kind, Schema
from services.records.domain.permissions import Access
from services.records.domain.reach import Reach

MAX_DEPTH = 4
MAX_PATHS = 20

Tree: TypeAlias = "dict[str, Tree]"


class Branch(msgspec.Struct, frozen=True):
    """A relation to one record that is seen through: its name, what may be seen there, and where it goes on."""

    name: str
    access: Access
    branches: "tuple[Branch, ...]"


def branches(tree: Tree, access: Access, reach: Reach) -> tuple[Branch, ...] | None:
    """A tree whose relations hold one record each; null where one holds several."""
    found: list[Branch] = []
    for name, subtree in tree.items():
        field = access.pipeline.fields[name]
        assert field.target_pipeline is not None
        target = reach.access("read", field.target_pipeline)
        beyond = None if field.many else branches(subtree, target, reach)
        if beyond is None:
            return None
        found.append(Branch(name, target, beyond))
    return tuple(found)


def parse_expand(text: str | None, schema: Schema) -> Tree:
    """The relations as a tree; raises Invalid with every fault."""
    tree: Tree = {}
    paths = [part.strip() for part in (text or "").split(",") if part.strip()]
    if len(paths) > MAX_PATHS:
        raise Invalid(errors=[Fault("/expand", "too_many", f"At most {MAX_PATHS} relations are expanded")])
    faults = [fault for path in paths if (fault := _add(path.split("."), schema, tree))]
    if faults:
        raise Invalid(errors=faults)
    return tree


def _add(names: list[str], schema: Schema, tree: Tree) -> Fault | None:
    if len(names) > MAX_DEPTH:
        return Fault("/expand", "too_deep", f"At most {MAX_DEPTH} relations are followed")
    for name in names:
        field = schema.fields.get(name)
        if field is None:
            return Fault("/expand", "unknown_field", f"There is no field '{name}'")
        if field.kind is not Kind.RELATION or field.target is None:
            return Fault("/expand", "not_a_relation", f"'{name}' does not lead to other records")
        tree, schema = tree.setdefault(name, {}), field.target
    return None
