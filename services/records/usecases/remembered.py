"""Views in memory: a hint or the stream tells of a change; should neither be heard, they are read anew each minute."""

import time
from uuid import UUID

from libs.common import events
from libs.common.bus import Bus
from services.records.domain.views import View

HINTS = "hint.pipelines.view"
"""Where pipelines tells of a changed view before it answers whoever changed it; the same comes by the stream."""
REMEMBERED_SECONDS = 60.0
CACHED = 20_000


class Views:
    """What was last heard of views, in whichever way, by tenant and id."""

    def __init__(self) -> None:
        self._known: dict[tuple[UUID, UUID], tuple[float, View]] = {}

    def listen(self, bus: Bus, subject: str) -> None:
        """Follows changes; while the connection was away they were not heard."""
        bus.listen(subject, self._hear)
        bus.listen(HINTS, self._hear)
        bus.on_reconnect(lambda: self._known.clear())

    def get(self, tenant_id: UUID, view_id: UUID) -> View | None:
        """A view, also one that is deleted."""
        since, view = self._known.get((tenant_id, view_id), (0.0, None))
        return view if time.monotonic() - since < REMEMBERED_SECONDS else None

    def remember(self, tenant_id: UUID, view: View, since: float) -> View:
        """Takes a view into memory as it was at some moment; the newest form that is known."""
        key = tenant_id, view.id
        known = self._known.get(key)
        if known is not None and known[1].version > view.version:
            return known[1]
        if len(self._known) >= CACHED:
            self._known.clear()
        self._known[key] = since, view
        return view

    def forget(self, tenant_id: UUID) -> None:
        """Forgets a tenant."""
        self._known = {key: value for key, value in self._known.items() if key[0] != tenant_id}

    async def _hear(self, payload: bytes) -> None:
        event = events.decode(payload, View)
        self.remember(event.tenant_id, event.data, time.monotonic())
