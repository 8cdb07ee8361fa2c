"""Which relations a reader wants to see through: `expand=company,company.owner`."""

from typing import TypeAlias

from libs.common.errors import Fault, Invalid
from libs.common.filters import Kind, Schema

MAX_DEPTH = 4
MAX_PATHS = 20

Tree: TypeAlias = "dict[str, Tree]"


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
