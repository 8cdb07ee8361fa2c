"""Request bodies: JSON into Structs, strictly, naming every fault, up to a hundred, and not only the first.

A Struct whose rules go further than its types may have a class method `more_faults(value, pointer)`: when the shape of
the body is wrong anywhere, what it finds in the decoded JSON is told in the same answer.
"""

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import Any, TypeVar

import msgspec

from libs.common.errors import Fault, Invalid, Malformed

T = TypeVar("T")

MAX_FAULTS = 100
_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$(.*)`)?", re.DOTALL)
_NO_OPTION = "Invalid enum value"
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
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(error) from None


def convert(form: dict[str, object], type_: type[T]) -> T:
    """The same for a form that is decoded already."""
    if found := faults(form, type_):
        raise _invalid(found)
    return msgspec.convert(form, type_)


def _value(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError as error:  # a number that no type here can hold
        raise _invalid(_endless_of(body) or [_fault(str(error), "")]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _malformed(error) from None


def _endless_of(body: bytes) -> list[Fault]:
    """Where the numbers are that no double holds; none are told where there are others, which nothing reads."""
    try:
        read = msgspec.json.Decoder(float_hook=float).decode(body)
        return list(islice(_endless(read, ""), MAX_FAULTS))
    except (msgspec.DecodeError, RecursionError):
        return []


def _endless(value: object, pointer: str) -> Iterator[Fault]:
    """The numbers that no double holds."""
    if isinstance(value, float) and math.isinf(value):
        yield Fault(pointer, "out_of_range", "A number that a double or a 64-bit integer holds is expected")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _endless(item, f"{pointer}/{_escape(name)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _endless(item, f"{pointer}/{index}")


def _malformed(error: Exception) -> Malformed:
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return Malformed(f"The body is not JSON: {reason.removeprefix('JSON is malformed: ')}")


def _invalid(found: list[Fault]) -> Invalid:
    return Invalid("The body does not have the expected shape", errors=found)


def faults(value: object, type_: Any, pointer: str = "") -> list[Fault]:
    """The faults that keep decoded JSON from being of a type, with pointers below the given one; none if it is."""
    return list(islice(_faults(value, type_, pointer), MAX_FAULTS))


def _faults(value: object, type_: Any, pointer: str) -> Iterator[Fault]:
    info = _info(type_)
    if isinstance(info, msgspec.inspect.RawType):
        return
    if isinstance(info, msgspec.inspect.UnionType):
        structs = [t for t in info.types if isinstance(t, msgspec.inspect.StructType)]
        info = structs[0] if len(structs) == 1 and isinstance(value, dict) else info
    items = getattr(info, "item_type", None)
    if isinstance(info, msgspec.inspect.StructType) and isinstance(value, dict) and _is_tagged(value, info):
        yield from _struct_faults(value, info, pointer)
    elif isinstance(items, msgspec.inspect.StructType) and isinstance(value, list) and not _is_long(value, info):
        each = (fault for i, item in enumerate(value) for fault in _faults(item, items.cls, f"{pointer}/{i}"))
        yield from _or_of_the_whole(each, value, type_, pointer)
    else:
        yield from _convert(value, type_, pointer)


def _struct_faults(value: dict[str, object], info: msgspec.inspect.StructType, pointer: str) -> Iterator[Fault]:
    yield from _or_of_the_whole(_fields_faults(value, info, pointer), value, info.cls, pointer)
    if more := getattr(info.cls, "more_faults", None):
        yield from more(value, pointer)


def _fields_faults(value: dict[str, object], info: msgspec.inspect.StructType, pointer: str) -> Iterator[Fault]:
    hints = _hints(info.cls)
    if info.forbid_unknown_fields:
        for name in value:
            if name not in hints and name != info.tag_field:
                yield Fault(f"{pointer}/{_escape(name)}", "unknown_field", f"'{name}' is not known here")
    for field in info.fields:
        name = field.encode_name
        if name in value:
            yield from _faults(value[name], hints[name], f"{pointer}/{_escape(name)}")
        elif field.required:
            yield Fault(f"{pointer}/{_escape(name)}", "required", f"'{name}' is required")


def _or_of_the_whole(parts: Iterator[Fault], value: object, type_: Any, pointer: str) -> Iterator[Fault]:
    """The faults of the parts; where these have none, that of the whole."""
    if (first := next(parts, None)) is None:
        yield from _convert(value, type_, pointer)
    else:
        yield from chain([first], parts)


@lru_cache(maxsize=1024)
def _info(type_: Any) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(type_)


@lru_cache(maxsize=1024)
def _hints(cls: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of a Struct's fields, by their names in JSON."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(cls)}


def _is_long(value: list[object], info: msgspec.inspect.Type) -> bool:
    most = getattr(info, "max_length", None)
    return most is not None and len(value) > most


def _is_tagged(value: dict[str, object], info: msgspec.inspect.StructType) -> bool:
    return info.tag_field is None or value.get(info.tag_field) == info.tag


def _convert(value: object, type_: Any, pointer: str) -> list[Fault]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        return [_fault(worded(str(error), type_), pointer)]
    return []


def worded(message: str, type_: Any) -> str:
    """A fault in words; where a value is none of several, with these."""
    if not message.startswith(_NO_OPTION) or " - at " in message:
        return message
    info = _info(type_)
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    options = [value for kind in kinds if isinstance(kind, msgspec.inspect.LiteralType) for value in kind.values]
    return f"One of {', '.join(map(str, options))} is expected" if options else message


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
