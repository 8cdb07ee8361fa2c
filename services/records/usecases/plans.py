"""How many records a tenant's plan allows, counted only where it is limited.

Far from the limit a count that is two seconds old will do, with what this process has added since. Within `MARGIN` of
it writers of the tenant take turns and count anew, so there the limit is exact. What goes beyond is at most what other
processes write within two seconds, less `MARGIN`, while this one is still far.
"""

import time
from dataclasses import dataclass
from uuid import UUID

from libs.common.errors import AppError
from libs.common.plans import reached
from libs.common.postgres import Connection
from services.records.storage import records

MARGIN = 1000
FRESH_SECONDS = 2.0
CAPACITY = 10_000


@dataclass(slots=True)
class Count:
    """How many records there were, when, and how many were added here since."""

    number: int
    at: float
    added: int = 0


class RecordPlans:
    """The counts of limited tenants in this process."""

    def __init__(self) -> None:
        self._counts: dict[UUID, Count] = {}

    async def room(self, connection: Connection, tenant_id: UUID, limit: int | None, adding: int) -> int:
        """How many of these may be added, within the transaction that adds them."""
        if limit is None or adding == 0:
            return adding
        known = self._counts.get(tenant_id)
        if known is None or time.monotonic() - known.at > FRESH_SECONDS:
            known = self._keep(tenant_id, await records.count_live(connection, tenant_id))
        if known.number + known.added + adding + MARGIN > limit:
            await records.take_turns(connection, tenant_id)
            known = self._keep(tenant_id, await records.count_live(connection, tenant_id))
            adding = max(0, min(adding, limit - known.number))
        known.added += adding
        return adding

    async def refusal(self, connection: Connection, tenant_id: UUID, limit: int) -> AppError:
        """Why there is no room."""
        return reached("records", limit, await records.count_live(connection, tenant_id))

    def _keep(self, tenant_id: UUID, number: int) -> Count:
        if len(self._counts) >= CAPACITY:
            self._counts.clear()
        count = self._counts[tenant_id] = Count(number, time.monotonic())
        return count
