"""Whom a tenant lets in, also while nobody can tell."""

import pytest

from libs.common.bus import Bus
from libs.common.errors import Forbidden, Unavailable
from libs.common.ids import new_id
from libs.common.postgres import Database as Pool
from services.realtime.domain.tenants import Tenant
from services.realtime.storage import tenants
from services.realtime.usecases.admission import Admission
from tests.support.postgres import Database


async def test_who_was_let_in_is_let_in_while_the_database_is_away(database: Database, nats_url: str) -> None:
    """A tenant is judged as it was known last, and one of which nothing is known by nobody."""
    bus, pool = Bus(nats_url, "test admission"), Pool(database.dsn("realtime"))
    admission, tenant = Admission(pool, bus, fresh_seconds=0), new_id()
    await pool.start()
    async with pool.tenant(tenant) as connection:
        await tenants.keep(connection, tenant, Tenant("active", "UTC", ("192.0.2.0/24",)))
    await admission.require(tenant, "192.0.2.7")
    await pool.stop()
    await admission.require(tenant, "192.0.2.7")
    with pytest.raises(Forbidden):
        await admission.require(tenant, "198.51.100.7")
    with pytest.raises(Unavailable):
        await admission.require(new_id(), "192.0.2.7")
