"""The demo's data hangs together before anything is loaded."""

import pytest

from ops.demo.datasets import Dataset
from ops.demo.load import DATASETS
from ops.demo.world import AIRPORTS, CITIES, COUNTRIES, borders

BY_SLUG = {dataset.slug: dataset for dataset in DATASETS}


@pytest.mark.parametrize(("dataset", "rows"), [(COUNTRIES, 252), (AIRPORTS, 28_298), (CITIES, 34_006)])
def test_the_world_is_all_there(dataset: Dataset, rows: int) -> None:
    """The demo has the countries, airports and cities that its page promises."""
    assert len(dataset.rows()) == rows


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.slug)
def test_rows_have_a_key_of_their_own(dataset: Dataset) -> None:
    """No two rows share the value by which a second load recognizes them."""
    keys = [row[dataset.key] for row in dataset.rows()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.slug)
def test_every_link_has_a_target_that_is_loaded_before(dataset: Dataset) -> None:
    """Each relation names a row of a dataset that comes earlier."""
    for name, slug in dataset.links.items():
        target = BY_SLUG[slug]
        assert DATASETS.index(target) < DATASETS.index(dataset)
        assert {row[name] for row in dataset.rows()} <= {row[target.key] for row in target.rows()}


def test_borders_join_two_known_countries_once() -> None:
    """Each pair of neighbours is there once, whichever of them the source names first."""
    codes = {row["code"] for row in COUNTRIES.rows()}
    pairs = borders()
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) > 300
    assert {code for pair in pairs for code in pair} <= codes
