"""The change feed for machines: what a principal may see of what happened after a position, page by page."""

from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import Forbidden, Gone
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.domain import telling
from services.realtime.domain.changes import Actor, Change
from services.realtime.domain.sight import compile_sight, judge
from services.realtime.storage import stream
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.hub import read
from services.realtime.usecases.replay import too_old

MAX_SCANNED = 2_000


class ChangeItem(msgspec.Struct, frozen=True):
    """One change; `seq` is its position, `changed` names the changed fields that may be read."""

    seq: int
    type: str
    time: str
    record: msgspec.Raw
    changed: list[str]
    actor: Actor | None


class ChangePage(msgspec.Struct, frozen=True):
    """A page of changes. `next_since` is the position to go on from, now or later; `next_cursor` is null at the end."""

    items: list[ChangeItem]
    next_since: int
    has_more: bool
    next_cursor: str | None


class Reader:
    """Reads the changes that one principal may see."""

    def __init__(self, bus: Bus, definitions: Definitions, principal: Principal, permissions: Permissions) -> None:
        self._bus = bus
        self._definitions = definitions
        self._principal = principal
        self._permissions = permissions

    async def page(self, since: int, limit: int, pipeline_id: UUID | None) -> ChangePage:
        """The next changes after a position; raises Gone where the stream no longer keeps them all."""
        tenant_id, position = self._principal.tenant_id, since
        bounds = await stream.bounds(self._bus)
        if since > max(bounds.last, self._bus.position):
            raise Gone("The position is not one of this stream", code="position-unknown")
        last = await stream.last(self._bus, tenant_id)
        items: list[ChangeItem] = []
        scanned = 0
        while position < last and len(items) < limit and scanned < MAX_SCANNED:
            stored = await stream.read_to(self._bus, tenant_id, position, last)
            if position + 1 < (await stream.bounds(self._bus)).first:
                raise too_old()
            for one in stored:
                position = one.seq
                item = await self._item(read(one.seq, one.payload), pipeline_id)
                if item is not None:
                    items.append(item)
                if len(items) == limit:
                    break
            scanned += len(stored)
        more = position < last
        return ChangePage(items, position, more, str(position) if more else None)

    async def _item(self, change: Change | None, pipeline_id: UUID | None) -> ChangeItem | None:
        if change is None or pipeline_id not in (None, change.head.pipeline_id):
            return None
        definition = await self._definitions.get_or_bare(self._principal.tenant_id, change.head.pipeline_id)
        grants = self._permissions.alternatives(READ, RECORDS, definition.id)
        sight = compile_sight(grants, definition, str(self._principal.id))
        if sight.asks:
            raise Forbidden(f"Your rule for pipeline {definition.id} looks at other records", code="rule-reaches")
        verdict = judge(change, sight, None)
        if verdict is None:
            return None
        record = telling.record(change, verdict, sight)
        changed = telling.changed(change, verdict)
        return ChangeItem(change.seq, verdict.kind, change.time, record, changed, change.actor)
