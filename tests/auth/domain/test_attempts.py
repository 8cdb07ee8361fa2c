"""How long one waits after failures."""

from libs.common.ids import new_id
from services.auth.domain.attempts import ACCOUNT_FROM_ADDRESS, Policy, of_account, of_codes


def test_the_wait_doubles_up_to_a_bound() -> None:
    """So many are free, then 1, 2, 4 … seconds."""
    policy = Policy("test", free=2, longest=5)
    assert [policy.wait(failures) for failures in range(7)] == [0, 0, 0, 1, 2, 4, 5]
    assert policy.wait(10**9) == 5


def test_an_account_is_counted_by_itself_and_for_the_address() -> None:
    """Of the account nothing readable is in a key, and another tenant's is another account."""
    tenant = new_id()
    counters = of_account(tenant, "ada@example.com", "203.0.113.7")
    keys = {counter.key for counter in counters}
    assert len(keys) == 3
    assert "ada" not in str(keys)
    assert keys.isdisjoint(counter.key for counter in of_account(new_id(), "ada@example.com", "203.0.113.7"))
    assert {counter.policy.name for counter in counters if not counter.cleared} == {"address"}
    assert ACCOUNT_FROM_ADDRESS.free == 5


def test_without_an_address_the_account_is_counted_alone() -> None:
    """As for codes, which belong to a user."""
    assert [counter.policy.name for counter in of_account(new_id(), "ada@example.com", None)] == ["account"]
    assert [counter.policy.name for counter in of_codes(new_id(), new_id())] == ["code"]
