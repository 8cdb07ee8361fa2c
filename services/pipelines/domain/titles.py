"""How a record is called: a template such as `{first_name} {last_name}`."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING

from libs.common.errors import Fault
from services.pipelines.domain.fields import AutoNumberField, EmailField, PhoneField, SelectField, TextField, UrlField

if TYPE_CHECKING:
    from services.pipelines.domain.definitions import Fields

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SECOND_CHOICE = (EmailField, UrlField, SelectField, PhoneField, AutoNumberField)


def default_template(fields: "Fields") -> str:
    """The first text field; failing that the first address or choice; failing that nothing."""
    for types in ((TextField,), _SECOND_CHOICE):
        for field in fields:
            if type(field) in types:
                return f"{{{field.name}}}"
    return ""


def renamed_template(template: str, renames: Mapping[str, str]) -> str:
    """The template with fields by their new names."""
    return _PLACEHOLDER.sub(lambda found: f"{{{renames.get(found[1], found[1])}}}", template)


def template_faults(template: str, names: Set[str], pointer: str) -> Iterator[Fault]:
    """Placeholders name fields, and no brace stands alone."""
    for name in _PLACEHOLDER.findall(template):
        if name not in names:
            yield Fault(pointer, "unknown_name", f"There is no field '{name}'")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        yield Fault(pointer, "invalid_template", "Braces stand in pairs around the name of a field")
