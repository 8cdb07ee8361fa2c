"""Which types of fields are which types of values to formulas."""

from collections.abc import Mapping

from libs.common.formulas.values import Type

ADDRESS = ("line1", "line2", "city", "region", "postal_code", "country")
COMPUTED = ("formula", "lookup", "rollup")

_TYPES: Mapping[str, Type] = {
    **dict.fromkeys(("text", "textarea", "email", "url", "phone", "select", "stage", "auto_number"), "text"),
    **dict.fromkeys(("relation", "user", "file"), "text"),
    **dict.fromkeys(("number", "rating", "currency", "duration"), "number"),
    **dict.fromkeys(("multiselect", "tags"), "list"),
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}  # fmt: skip


def type_of(field_type: str, *, many: bool, looked_up: bool = False) -> Type | None:
    """The type of values of a field that is not computed; looked up, a duration is its text and not its seconds."""
    if many:
        return "list"
    return "text" if looked_up and field_type == "duration" else _TYPES.get(field_type)


def names_in(name: str, field_type: str, kind: Type | None) -> dict[str, Type | None]:
    """The names by which formulas speak of a field and of its parts."""
    found: dict[str, Type | None] = {name: kind}
    if field_type == "currency":
        found |= {f"{name}.amount": "number", f"{name}.currency": "text"}
    if field_type == "address":
        found |= {f"{name}.{part}": "text" for part in ADDRESS}
    return found
