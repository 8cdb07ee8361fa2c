import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from libs.common.errors import (
    KINDS,
    MAX_DETAIL,
    MAX_POINTER,
    AppError,
    Conflict,
    Fault,
    WireError,
    clipped,
    from_wire,
    to_wire,
)
from libs.common.problems import MAX_FAULTS, STATUS, render


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_survives_the_wire(kind: str) -> None:
    """An error that travels as JSON comes back as the same class with all it said."""
    error = KINDS[kind]("why", code="special", errors=[Fault("/a", "b", "c")], retry_after=2.5, extra={"version": 3})
    wire = msgspec.json.decode(msgspec.json.encode(to_wire(error)), type=WireError)
    again = from_wire(wire)
    assert type(again) is type(error)
    assert vars(again) == vars(error)


def test_an_unknown_kind_is_opaque() -> None:
    """A kind that this process does not know becomes the base error, so new code may talk to old."""
    assert type(from_wire(WireError("from-the-future", "x", "y"))) is AppError


def test_every_kind_has_a_status() -> None:
    """The edge knows a status and a title for each kind, and for nothing else."""
    assert STATUS.keys() == KINDS.keys()


def test_the_docstring_is_the_default_detail() -> None:
    """An error without words says the first line of its docstring, and its kind is its code."""
    assert (Conflict().detail, Conflict().code) == ("The request conflicts with the present state.", "conflict")


def problem(error: AppError) -> tuple[int, dict[str, str], dict[str, object]]:
    """Status, headers and document of an error."""
    status, headers, body = render(error, request_id="r", instance="/i")
    return status, dict(headers), msgspec.json.decode(body)


def test_a_problem_document() -> None:
    """Type, title, status, detail, instance, request id, faults and extra members stand in the document (RFC 9457)."""
    fault = Fault("/a", "required", "needed")
    status, headers, document = problem(Conflict("why", code="special", errors=[fault], extra={"version": 3}))
    assert status == 409
    assert headers == {"content-type": "application/problem+json"}
    assert document == {
        "type": "/problems/special",
        "title": "Conflict",
        "status": 409,
        "detail": "why",
        "instance": "/i",
        "request_id": "r",
        "errors": [{"pointer": "/a", "code": "required", "detail": "needed"}],
        "version": 3,
    }


def test_an_internal_error_tells_nothing() -> None:
    """Neither the detail nor extra members of an unexpected error leave the process."""
    _, _, document = problem(AppError("password=hunter2", extra={"secret": 1}))
    assert "hunter2" not in str(document)
    assert "secret" not in document


@pytest.mark.parametrize(("kind", "header"), [("unauthenticated", "www-authenticate"), ("unavailable", "retry-after")])
def test_headers_of_a_kind(kind: str, header: str) -> None:
    """401 names the scheme and 503 says when to come back."""
    assert header in problem(KINDS[kind]())[1]


def test_retry_after_is_whole_seconds() -> None:
    """A wait is rounded up, and is at least a second."""
    assert problem(KINDS["rate-limited"](retry_after=1.2))[1]["retry-after"] == "2"
    assert problem(KINDS["rate-limited"](retry_after=0.01))[1]["retry-after"] == "1"


def test_faults_are_told_up_to_a_bound() -> None:
    """A document with faults by the hundred thousand, as large input may have, is not sent."""
    _, _, document = problem(Conflict(errors=[Fault(f"/{i}", "unknown_field", "?") for i in range(100_000)]))
    assert document["errors"] == [
        {"pointer": f"/{i}", "code": "unknown_field", "detail": "?"} for i in range(MAX_FAULTS)
    ]


@given(
    some.text(some.characters(exclude_characters="…"), max_size=12),
    some.integers(0, 3 * MAX_DETAIL),
    some.integers(3, MAX_DETAIL),
)
def test_what_is_clipped_keeps_its_beginning_and_its_end(unit: str, times: int, most: int) -> None:
    """A text of any length has at most so many characters afterwards; a short one is as it was."""
    text = unit * times
    short = clipped(text, most)
    assert len(short) <= most
    assert short == text if len(text) <= most else all(map(text.__contains__, short.split("…", 1)))


@given(some.text(min_size=1, max_size=3), some.integers(1, 100_000))
def test_an_error_repeats_no_more_than_a_line_of_what_was_sent(unit: str, times: int) -> None:
    """Details and pointers that name what is megabytes long are clipped wherever they are made, and by whom."""
    name = unit * times
    fault = Fault(f"/data/{name}", "unknown_field", f"There is no field '{name}'")
    error = from_wire(to_wire(Conflict(f"'{name}' is taken", errors=[fault])))
    assert len(error.detail) <= MAX_DETAIL
    assert len(error.errors[0].pointer) <= MAX_POINTER
    assert len(error.errors[0].detail) <= MAX_DETAIL
    assert error.errors[0].pointer.startswith("/data/")
