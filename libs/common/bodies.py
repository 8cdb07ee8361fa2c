"""Request bodies: JSON into Structs, strictly, naming every fault and not only the first.

A Struct whose rules go further than its types may have a class method `more_faults(value, pointer)`: when the shape of
the body is wrong anywhere, what it finds in the decoded JSON is told in the same answer.
"""

import re
from typing import Any, TypeVar

import msgspec

from libs.common.errors import Fault, Invalid, Malformed

T = TypeVar("T")

MAX_FAULTS = 100
_NOT_JSON = "The body is not JSON"
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def decode(body: bytes, type_: type[T]) -> T:
    """Decodes a body. Not JSON is `Malformed`; JSON of another shape is `Invalid` with all its faults."""
    if _NUL.search(body):
        raise Malformed("Text may not contain the NUL character")
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        found = faults(_value(body), type_) or [_fault(str(error), "")]
        raise _invalid(found) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Malformed(_NOT_JSON) from None


def convert(form: dict[str, object], type_: type[T]) -> T:
    """The same for a form that is decoded already."""
    if found := faults(form, type_):
        raise _invalid(found)
    return msgspec.convert(form, type_)


def _value(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError as error:  # a number that no type here can hold
        raise _invalid([_fault(str(error), "")]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise Malformed(_NOT_JSON) from None


def _invalid(found: list[Fault]) -> Invalid:
    return Invalid("The body does not have the expected shape", errors=found[:MAX_FAULTS])


def faults(value: object, type_: Any, pointer: str = "") -> list[Fault]:
    """All faults that keep decoded JSON from being of a type, with pointers below the given one; none if it is."""
    info = msgspec.inspect.type_info(type_)
    if isinstance(info, msgspec.inspect.RawType):
        return []
    if isinstance(info, msgspec.inspect.UnionType):
        structs = [t for t in info.types if isinstance(t, msgspec.inspect.StructType)]
        info = structs[0] if len(structs) == 1 and isinstance(value, dict) else info
    if isinstance(info, msgspec.inspect.StructType) and isinstance(value, dict) and _is_tagged(value, info):
        return _struct_faults(value, info, pointer)
    items = getattr(info, "item_type", None)
    if isinstance(items, msgspec.inspect.StructType) and isinstance(value, list):
        found = [f for i, item in enumerate(value) for f in faults(item, items.cls, f"{pointer}/{i}")]
        return found or _convert(value, type_, pointer)
    return _convert(value, type_, pointer)


def _struct_faults(value: dict[str, object], info: msgspec.inspect.StructType, pointer: str) -> list[Fault]:
    found: list[Fault] = []
    fields = {field.encode_name: field for field in info.fields}
    hints = {f.encode_name: f.type for f in msgspec.structs.fields(info.cls)}
    if info.forbid_unknown_fields:
        found += [
            Fault(f"{pointer}/{_escape(n)}", "unknown_field", f"'{n}' is not known here")
            for n in value
            if n not in fields and n != info.tag_field
        ]
    for name, field in fields.items():
        if name in value:
            found += faults(value[name], hints[name], f"{pointer}/{_escape(name)}")
        elif field.required:
            found.append(Fault(f"{pointer}/{_escape(name)}", "required", f"'{name}' is required"))
    found = found or _convert(value, info.cls, pointer)
    more = getattr(info.cls, "more_faults", None)
    return [*found, *more(value, pointer)] if more else found


def _is_tagged(value: dict[str, object], info: msgspec.inspect.StructType) -> bool:
    return info.tag_field is None or value.get(info.tag_field) == info.tag


def _convert(value: object, type_: Any, pointer: str) -> list[Fault]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        return [_fault(str(error), pointer)]
    return []


def _fault(message: str, pointer: str) -> Fault:
    match = _AT.fullmatch(message)
    assert match is not None
    text, path = match.groups()
    steps = "".join(f"/{_escape(name or index)}" for name, index in _STEP.findall(path or ""))
    missing = re.search(r"required field `(\w+)`", text)
    unknown = re.search(r"unknown field `(.+)`", text)
    if found := missing or unknown:
        return Fault(f"{pointer}{steps}/{_escape(found[1])}", "required" if missing else "unknown_field", text)
    code = "wrong_type" if text.startswith("Expected `") and ", got" in text else "invalid_value"
    return Fault(f"{pointer}{steps}", code, text)


def _escape(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
