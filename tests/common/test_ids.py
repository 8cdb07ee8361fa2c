import pytest

from libs.common.errors import NotFound
from libs.common.ids import new_id, parse_id


def test_ids_grow_with_time() -> None:
    """A thousand ids made one after another are version 7, different, and in order."""
    made = [new_id() for _ in range(1000)]
    assert {i.version for i in made} == {7}
    assert sorted(set(made)) == made


@pytest.mark.parametrize("text", ["", "x", "1", "0189", "01890000-0000-7000-8000-00000000000g", "null"])
def test_what_is_no_id_names_nothing(text: str) -> None:
    """Anything else than a UUID is `NotFound`, never an error of the server's own."""
    with pytest.raises(NotFound):
        parse_id(text)
    assert parse_id("01890000-0000-7000-8000-000000000000").version == 7
