"""Addresses, names, passwords and languages."""

import pytest

from services.auth.domain import people


@pytest.mark.parametrize("email", ["ada@example.com", "a.b+c@sub.example.co.uk", "jürgen@müller.example", "x@a-b.io"])
def test_good_addresses(email: str) -> None:
    """Of any script, with a domain that has a dot."""
    assert people.check_email(people.normalize_email(email)) == []


@pytest.mark.parametrize(
    "email",
    ["", "ada", "ada@", "@example.com", "a b@example.com", "a@b", "a@@b.com", "a@b..com", "a@-b.com", "a..b@c.de",
     "a@b.c", "x" * 65 + "@example.com", "a@" + "b." * 130 + "com", 'a"b@example.com', "a@example.com\n."],
)  # fmt: skip
def test_bad_addresses(email: str) -> None:
    """Each has the one fault that API clients know."""
    assert [fault.code for fault in people.check_email(people.normalize_email(email))] == ["invalid_email"]


def test_addresses_that_differ_in_case_or_composition_are_one() -> None:
    """Upper case, spaces around, and decomposed letters make no difference."""
    assert people.normalize_email(" ADA@Example.COM ") == "ada@example.com"
    assert people.normalize_email("ju\u0308rgen@example.com") == people.normalize_email("J\u00fcrgen@example.com")


def test_passwords_have_ten_to_128_characters() -> None:
    """Nothing else is asked of them."""
    codes = {length: [f.code for f in people.check_password("x" * length)] for length in (9, 10, 128, 129)}
    assert codes == {9: ["too_short"], 10: [], 128: [], 129: ["too_long"]}


def test_names_are_visible() -> None:
    """Not blank, no control characters, 200 characters at most."""
    assert people.check_name("Ada Lovelace 😀") == []
    assert [people.check_name(name)[0].code for name in (" ", "a\u202eb", "a\tb", "x" * 201)] == [
        "invalid_name",
        "invalid_name",
        "invalid_name",
        "too_long",
    ]
