import re
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common import bodies
from libs.common.errors import Fault, Invalid, Malformed
from libs.common.http import Input


class Line(Input, kw_only=True):
    """An inner Struct."""

    sku: str
    count: int = 1


class Order(Input, kw_only=True):
    """A body of all sorts."""

    name: str
    lines: list[Line]
    note: str | msgspec.UnsetType | None = msgspec.UNSET
    first: Line | None = None
    more: Annotated[list[Line], msgspec.Meta(max_length=3)] = msgspec.field(default_factory=list)


class Square(msgspec.Struct, tag_field="type", tag="square", forbid_unknown_fields=True):
    """A Struct with a tag."""

    side: int


class Choice(Input, kw_only=True):
    """A body with a choice, and one that may be left out."""

    size: Literal["small", "large"]
    colour: Literal["red", "blue"] | None = None


class Even(Input, kw_only=True):
    """A body with a rule beyond its types."""

    name: str
    number: int

    @classmethod
    def more_faults(cls, value: dict[str, Any], pointer: str) -> list[Fault]:
        """The number is even."""
        odd = isinstance(value.get("number"), int) and value["number"] % 2
        return [Fault(f"{pointer}/number", "odd", "odd")] if odd else []


def faults(body: bytes, type_: type[object] = Order) -> set[tuple[str, str]]:
    """Pointer and code of each fault of a body."""
    with pytest.raises(Invalid) as caught:
        bodies.decode(body, type_)
    return {(fault.pointer, fault.code) for fault in caught.value.errors}


def test_a_right_body_is_decoded() -> None:
    """Null and absence are told apart."""
    order = bodies.decode(b'{"name": "a", "lines": [{"sku": "x"}], "note": null}', Order)
    assert (order.note, order.lines[0].count) == (None, 1)
    assert bodies.decode(b'{"name": "a", "lines": []}', Order).note is msgspec.UNSET


def test_all_faults_are_named() -> None:
    """Missing, unknown and wrong fields at any depth stand in one answer, each with its pointer."""
    body = b'{"lines": [{"sku": "a"}, {"count": "2", "x/y~": 1}, 3], "note": 4, "first": {"sku": null}}'
    assert faults(body) == {
        ("/name", "required"),
        ("/lines/1/sku", "required"),
        ("/lines/1/count", "wrong_type"),
        ("/lines/1/x~1y~0", "unknown_field"),
        ("/lines/2", "wrong_type"),
        ("/note", "wrong_type"),
        ("/first/sku", "wrong_type"),
    }


def test_a_tagged_struct_names_its_faults_too() -> None:
    """The tag itself is no unknown field; another tag is one fault."""
    assert faults(b'{"type": "square", "x": 1}', Square) == {("/x", "unknown_field"), ("/side", "required")}
    assert faults(b'{"type": "round", "side": 1}', Square) == {("/type", "invalid_value")}


def test_rules_beyond_types_are_told_with_the_others() -> None:
    """`more_faults` is asked where the shape is wrong, and not where it is right."""
    assert faults(b'{"number": 3}', Even) == {("/name", "required"), ("/number", "odd")}
    assert bodies.decode(b'{"name": "a", "number": 3}', Even).number == 3


def test_faults_are_bounded() -> None:
    """A body with thousands of faults is answered with a hundred."""
    body = msgspec.json.encode({"name": "a", "lines": [{}] * 5000})
    with pytest.raises(Invalid) as caught:
        bodies.decode(body, Order)
    assert len(caught.value.errors) == bodies.MAX_FAULTS
    assert faults(b'{"name": "a", "lines": [], "more": [1, 2, 3, 4]}') == {("/more", "invalid_value")}
    assert len(faults(b'{"name": "a", "lines": [], "more": [1, 2, 3]}')) == 3


def test_no_more_is_looked_at_than_is_told() -> None:
    """Of a list of a million wrong things the first hundred are judged, and of unknown names a hundred are told."""
    looked: list[int] = []

    class Counted(dict[str, object]):
        def __contains__(self, name: object) -> bool:
            looked.append(1)
            return super().__contains__(name)

    assert len(bodies.faults({"name": "a", "lines": [Counted() for _ in range(5000)]}, Order)) == bodies.MAX_FAULTS
    assert len(looked) <= 10 * bodies.MAX_FAULTS
    assert len(bodies.faults({f"x{i}": 1 for i in range(5000)}, Order)) == bodies.MAX_FAULTS


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"nope", b"[1,", b'{"name": 1, ', b'{"name": "\xff"}', b'{"name": "\\ud800"}', b"[" * 100_000,
        b'{"name": "a\\u0000", "lines": []}', b'{"name": "\\\\\\u0000", "lines": []}',
    ],
)  # fmt: skip
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Broken, endlessly nested or NUL-bearing text is 400, also where an earlier value had the wrong type."""
    with pytest.raises(Malformed):
        bodies.decode(body, Order)


def test_an_escaped_backslash_is_no_nul() -> None:
    """The characters backslash, u, 0, 0, 0, 0 are text like any other."""
    assert bodies.decode(b'{"name": "\\\\u0000", "lines": []}', Order).name == "\\u0000"


def test_a_number_beyond_all_types_is_a_fault() -> None:
    """1e400 is JSON, but fits nothing; the fault says where it stands, however deep."""
    assert faults(b'{"name": 1e400, "lines": []}') == {("/name", "out_of_range")}
    body = b'{"name": "a", "lines": [{"sku": [1, {"x/y": -1e999}]}]}'
    assert faults(body) == {("/lines/0/sku/1/x~1y", "out_of_range")}
    for rest in (b"-1e999", b"9" * 5000):
        assert faults(b'{"name": ' + b"9" * 5000 + b', "lines": [' + rest + b"]}")
    for depth in range(900, 1000):  # about as deep as anything is read
        with pytest.raises((Invalid, Malformed)):
            bodies.decode(b"[" * depth + b"1e400" + b"]" * depth, Order)


def test_a_body_that_is_not_json_is_told_where() -> None:
    """The refusal names the byte, or that the body goes too deep."""
    for body, reason in ((b"{]", "(byte 1)"), (b"\xff", "(byte 0)"), (b"[" * 5000, "nested too deeply")):
        with pytest.raises(Malformed, match=re.escape(reason)):
            bodies.decode(body, Order)


def test_a_choice_names_what_may_be_chosen() -> None:
    """A value that is none of several is told which there are."""
    with pytest.raises(Invalid) as caught:
        bodies.decode(b'{"size": "huge", "colour": "pink"}', Choice)
    assert [fault.detail for fault in caught.value.errors] == [
        "One of large, small is expected",
        "One of blue, red is expected",
    ]


@settings(max_examples=500)
@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_no_bytes_crash_it(body: bytes) -> None:
    """Whatever comes, it is decoded, malformed or invalid."""
    for type_ in (Order, Square, dict[str, Any]):
        with suppress(Malformed, Invalid):
            bodies.decode(body, type_)
