"""How fast a user, a tenant and all together may come."""

import time

import pytest

from libs.common.errors import RateLimited
from libs.common.identity import Principal
from libs.common.ids import new_id
from services.realtime.sockets import rates
from services.realtime.sockets.limits import Limits
from services.realtime.sockets.rates import Rates

SELDOM = 0.0001
"""A rate, a second, at which one may come at once and the next after hours."""


def principal(tenant: object = None, user: object = None) -> Principal:
    return Principal(
        tenant_id=tenant or new_id(), id=user or new_id(), kind="user", session_id=new_id(), name="Ann", roles=(),
        issued_at=0, expires_at=time.time() + 3600,
    )  # fmt: skip


@pytest.mark.parametrize(("whose", "refused"), [("user", 1), ("tenant", 2), ("node", 3)])
@pytest.mark.parametrize("what", ["frame", "join"])
def test_a_rate_is_of_a_user_a_tenant_or_all(what: str, whose: str, refused: int) -> None:
    """Over a rate those are refused whose it is: the same user, others of the tenant, or everybody."""
    often = dict.fromkeys(Limits.__struct_fields__, 1_000_000)
    limits = Rates(Limits(**{**often, f"{what}_rate_per_{whose}": SELDOM}))
    take = getattr(limits, what)
    ann = principal()
    take(ann)
    for number, who in enumerate((ann, principal(ann.tenant_id), principal())):
        if number < refused:
            with pytest.raises(RateLimited):
                take(who)
        else:
            take(who)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was not seen for longest is forgotten, and begins anew."""
    monkeypatch.setattr(rates, "REMEMBERED", 4)
    rate = rates.Rate(SELDOM, 1000, 1000)
    ann = principal()
    assert (rate.take(ann), rate.take(ann)) == (True, False)
    assert all(rate.take(principal()) for _ in range(4))
    assert rate.take(ann)
