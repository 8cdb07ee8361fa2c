"""Addresses, names, passwords and languages."""

import time

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
    """Shorter ones are guessed, longer ones are an attack on the hash."""
    good = "Xk9-" * 3
    codes = {length: [f.code for f in people.check_password((good * 11)[:length])] for length in (9, 129)}
    assert codes == {9: ["too_short"], 129: ["too_long"]}
    assert people.check_password("lemur quartz 41") == []


@pytest.mark.parametrize("password", ["x" * 16, "password123", "Passw0rd!2024", "qwertyuiop12", "1234567890"])
def test_a_password_that_is_soon_guessed_is_too_weak(password: str) -> None:
    """However many kinds of characters are in it."""
    assert [fault.code for fault in people.check_password(password)] == ["too_weak"]


def test_a_password_is_not_about_its_owner() -> None:
    """What would do for someone else is weak for the person whose name it is."""
    password, about = "ottokarhrubesch", ("Ottokar Hrubesch", "ada@example.com")
    assert people.check_password(password) == []
    assert [fault.code for fault in people.check_password(password, about)] == ["too_weak"]


@pytest.mark.parametrize("password", ["a1!" * 42, "abcdefgh" * 16, "20012002200320042005" * 6])
def test_judging_a_password_is_quick(password: str) -> None:
    """However long and however patterned, the best of three tries takes under a second of CPU."""

    def seconds() -> float:
        started = time.thread_time()
        people.check_password(password)
        return time.thread_time() - started

    assert min(seconds() for _ in range(3)) < 1


def test_names_are_visible() -> None:
    """Not blank, no control characters, 200 characters at most."""
    assert people.check_name("Ada Lovelace 😀") == []
    assert [people.check_name(name)[0].code for name in (" ", "a\u202eb", "a\tb", "x" * 201)] == [
        "invalid_name",
        "invalid_name",
        "invalid_name",
        "too_long",
    ]
