"""When clients come back."""

from random import Random

import pytest

from millrace.client.pauses import CAP_SECONDS, SPREAD_SECONDS, Pauses

CLIENTS = 10_000
SLOTS = 50


@pytest.mark.parametrize("failures", [0, 1, 2, 9])
def test_clients_come_back_all_over_the_window(failures: int) -> None:
    """Of 10,000 that break together each fiftieth of the window gets its share; windows grow with failures."""
    window = min(CAP_SECONDS, SPREAD_SECONDS * 2**failures)
    slots = [0] * SLOTS
    for seed in range(CLIENTS):
        pauses = Pauses(dice=Random(seed))
        for _ in range(failures):
            pauses.next()
        slots[int(pauses.next() / window * SLOTS)] += 1
    share = CLIENTS / SLOTS
    assert share * 0.75 < min(slots) <= max(slots) < share * 1.25


def test_what_comes_ends_the_failures() -> None:
    """After a change has come the window is the first one again, and a client's own spread is its bound."""
    pauses = Pauses(0.01, Random(1))
    for _ in range(10):
        pauses.next()
    pauses.reset()
    assert all(Pauses(0.01, Random(seed)).next() < 0.01 for seed in range(100))
    assert pauses.next() < 0.01
