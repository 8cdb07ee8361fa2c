"""Which column of a table goes into which field: as asked for, or as the names suggest."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from libs.common.errors import Fault, Invalid
from services.records.domain.definitions import Field
from services.records.domain.permissions import escape
from services.records.domain.reach import Reach

GIVEN = frozenset(("auto_number", "formula", "lookup", "rollup", "button", "file"))
"""Fields of these types take no value from a table."""

_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "emailaddress", "mail", "emails", "primaryemail"),
    "phone": ("phone", "phonenumber", "telephone", "tel", "mobile", "mobilephone", "workphone"),
    "url": ("url", "website", "web", "homepage", "domain", "link"),
    "address": ("address", "streetaddress", "postaladdress"),
}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "name": ("fullname", "title", "displayname", "contactname", "companyname"),
    "company": ("organization", "organisation", "companyname", "account", "employer"),
}
_OTHER = re.compile(r"[\W_]+")


def takes(reach: Reach) -> dict[str, Field]:
    """The fields of a pipeline that a table may give values to and that exist for the caller."""
    read, create = reach.access("read"), reach.access("create")
    writable = [a.writable for a in create.alternatives]
    known = {
        name: field
        for name, field in reach.pipeline.fields.items()
        if read.names(name) or any(names is None or name in names for names in writable)
    }
    return {name: field for name, field in known.items() if field.type not in GIVEN}


def checked(given: Any, reach: Reach) -> dict[str, str | None]:
    """A mapping that was asked for; `Invalid` with every fault."""
    if not isinstance(given, dict):
        raise Invalid(errors=[Fault("/mapping", "wrong_type", "An object of columns and fields is expected")])
    fields = takes(reach)
    faults: list[Fault] = []
    seen: set[str] = set()
    for column, name in given.items():
        pointer = f"/mapping/{escape(column)}"
        if name is None:
            continue
        if not isinstance(name, str) or name not in fields:
            faults.append(Fault(pointer, "unknown_field", f"There is no field '{name}' that takes values"))
        elif name in seen:
            faults.append(Fault(pointer, "repeated", f"'{name}' is given by another column"))
        else:
            seen.add(name)
    if faults:
        raise Invalid(errors=faults)
    return given


def suggested(columns: Iterable[str], reach: Reach) -> dict[str, str]:
    """The field that each column most likely means, each field once; columns that mean none are left out."""
    fields = takes(reach)
    found: dict[str, str] = {}
    taken: set[str] = set()
    rest = list(columns)
    for names in _ways(fields):
        for column in list(rest):
            name = names.get(_folded(column))
            if name is not None and name not in taken:
                found[column] = name
                taken.add(name)
                rest.remove(column)
    return found


def _ways(fields: Mapping[str, Field]) -> list[dict[str, str]]:
    """Names to fields, the surest first: the name, the label, what a name or a type is called elsewhere."""
    by_name = {_folded(name): name for name in fields}
    backwards = list(reversed(list(fields.items())))
    by_label = {_folded(field.label): name for name, field in backwards if field.label}
    by_other = {other: name for name, _ in backwards for other in _NAMES.get(name, ())}
    by_type = {other: name for name, field in backwards for other in _SYNONYMS.get(field.type, ())}
    return [by_name, by_label, by_other, by_type]


def _folded(name: str) -> str:
    return _OTHER.sub("", name).casefold()
