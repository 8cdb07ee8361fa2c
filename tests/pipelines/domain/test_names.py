import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.pipelines.domain.names import slug_faults, slugify
from services.pipelines.domain.pipelines import free_slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Große Deals!", "grosse-deals"), ("  a  b ", "a-b"), ("日本", "pipeline"), ("Ünïcode 2", "unicode-2")],
)
def test_a_slug_follows_a_name(name: str, slug: str) -> None:
    """Accents fall away and other signs become hyphens."""
    assert slugify(name) == slug


@given(st.text(), st.integers(0, 600))
def test_every_derived_slug_is_one(name: str, others: int) -> None:
    """What is made of any name, numbered if need be, is a slug that is free."""
    wanted = slugify(name)
    taken = {wanted, *(f"{wanted}-{i}" for i in range(2, others))} if others else set[str]()
    slug = free_slug(wanted, taken)
    assert list(slug_faults(slug, "")) == []
    assert slug not in taken
