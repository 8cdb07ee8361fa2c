"""Slugs, hosts and domains."""

import pytest

from services.auth.domain import organizations

BASES = frozenset({"localhost", "crm.example.com"})


@pytest.mark.parametrize("slug", ["ab", "acme", "a-1", "1a", "x" * 63])
def test_good_slugs(slug: str) -> None:
    """Lower case, digits and inner hyphens."""
    assert organizations.check_slug(slug) == []


@pytest.mark.parametrize(
    "slug", ["", "a", "-a", "a-", "A", "a_b", "a.b", "x" * 64, "ä", "a\n", "xn--acme", "www", "admin"]
)
def test_bad_slugs(slug: str) -> None:
    """What is no label of a host name, or belongs to the platform."""
    assert organizations.check_slug(slug) != []


@pytest.mark.parametrize(
    ("host", "slug"),
    [
        ("acme.localhost", "acme"),
        ("Acme.LOCALHOST:8000", "acme"),
        ("acme.crm.example.com.", "acme"),
        ("a.b.localhost", None),
        ("localhost", None),
        ("acme.example.com", None),
        ("[::1]:8000", None),
    ],
)
def test_hosts_below_the_platform_name_slugs(host: str, slug: str | None) -> None:
    """One label below a base domain, in any case, with any port."""
    assert organizations.slug_of_host(organizations.host_name(host), BASES) == slug


def test_domains_below_the_platform_belong_to_their_slugs() -> None:
    """A tenant cannot take the host of another's slug."""
    assert organizations.check_domain("acme.localhost", "acme", BASES) == []
    assert organizations.check_domain("crm.acme.com", "acme", BASES) == []
    for host in ("other.localhost", "localhost", "a b", "-a.com", "x" * 64 + ".com"):
        assert organizations.check_domain(host, "acme", BASES) != [], host
