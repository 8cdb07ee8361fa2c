"""What fields of every type have, and what may be said in several of them."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec

from libs.common.errors import Fault
from libs.common.filters import Kind
from services.pipelines.domain.names import field_name_faults

Label: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Case: TypeAlias = Literal["keep", "lower", "upper"]


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What fields of every type have. `label` and `searchable` are given by the type where they are left out."""

    may_be_unique: ClassVar[bool] = False
    may_be_indexed: ClassVar[bool] = True
    may_be_searched: ClassVar[bool] = False
    may_have_default: ClassVar[bool] = True
    kind_of: ClassVar[Kind] = Kind.JSON
    parts: ClassVar[Mapping[str, Kind]] = {}
    fixed: ClassVar[tuple[str, ...]] = ()

    name: Annotated[str, msgspec.Meta(max_length=63)]
    label: Label | None = None
    required: bool = False
    unique: bool = False
    indexed: bool = False
    searchable: bool | None = None
    default: Any = None
    help: Annotated[str, msgspec.Meta(max_length=1000)] | None = None

    @classmethod
    def type_name(cls) -> str:
        """The type's name in the API."""
        return str(cls.__struct_config__.tag)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the field by itself, with pointers below the field."""
        yield from field_name_faults(self.name, "/name")
        for flag, allowed in (
            ("unique", self.may_be_unique),
            ("indexed", self.may_be_indexed),
            ("searchable", self.may_be_searched),
        ):
            if getattr(self, flag) and not allowed:
                yield Fault(f"/{flag}", "not_applicable", f"A field of type {self.type_name()} cannot be {flag}")
        if self.default is not None and not self.may_have_default:
            yield Fault("/default", "not_applicable", f"A field of type {self.type_name()} has no default")
