"""What is asked so often that it has a statement of its own."""

from services.records.domain.favourites import Favourites


def test_who_asks_most_is_among_them() -> None:
    """One question in three of very many is a favourite soon, and stays one; those that come once never are."""
    favourites = Favourites(room=8)
    found = [(favourites.ask("often"), favourites.ask(n), favourites.ask(-n)) for n in range(1, 2000)]
    assert all(often for often, _, _ in found[20:])
    assert not any(rare or other for _, rare, other in found)


def test_what_is_asked_less_than_others_loses_its_place() -> None:
    """A favourite that nobody asks any more makes room for another, after a bounded while."""
    favourites = Favourites(room=1, most=50)
    for _ in range(10_000):
        favourites.ask("before")
    asked = 0
    while not favourites.ask("now"):
        asked += 1
    assert asked < 100
