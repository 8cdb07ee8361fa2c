"""The change feed for machines: what a principal may see of what happened after a position, page by page."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from libs.common.bus import Bus
from libs.common.errors import Gone
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.domain import telling
from services.realtime.domain.changes import Actor, Change
from services.realtime.domain.sight import Kind, Sight, compile_sight, judge
from services.realtime.storage import stream
from services.realtime.usecases import records
from services.realtime.usecases.asking import was_surely_not
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.groups import READ, RECORDS, ruling
from services.realtime.usecases.hub import Hub
from services.realtime.usecases.past import read
from services.realtime.usecases.replay import too_old

MAX_SCANNED = 2_000

Shown = dict[UUID, msgspec.Raw]


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
    """Reads the changes that one principal may see, of one pipeline or of all."""

    def __init__(
        self, bus: Bus, definitions: Definitions, principal: Principal, permissions: Permissions, pipeline: UUID | None
    ) -> None:
        self._bus = bus
        self._definitions = definitions
        self._principal = principal
        self._permissions = permissions
        self._pipeline = pipeline
        self._sights: dict[UUID, tuple[int, Sight]] = {}

    def grant(self, permissions: Permissions) -> None:
        """Judges by other permissions from now on."""
        if permissions is not self._permissions:
            self._permissions = permissions
            self._sights.clear()

    async def page(self, since: int, limit: int, hub: Hub | None = None) -> ChangePage:
        """The next changes after a position, from the memory of an open hub where that holds them all.

        Raises Gone where the stream no longer keeps what came next, or where nobody can tell whether a record that is
        not to be seen was so before.
        """
        if hub is not None and (recent := hub.after(since)) is not None:
            last = hub.position
            items, position = await self._items(recent, limit)
            position = last if position is None else position
            return _page(items, position, position < last)
        return await self._from_stream(since, limit)

    async def _from_stream(self, since: int, limit: int) -> ChangePage:
        tenant_id, position = self._principal.tenant_id, since
        if since > self._bus.position and await stream.ends_before(self._bus, since):
            raise Gone("The position is not one of this stream", code="position-unknown")
        last = await stream.last(self._bus, tenant_id)
        items: list[ChangeItem] = []
        scanned = 0
        while position < last and len(items) < limit and scanned < MAX_SCANNED:
            stored = await stream.read_to(self._bus, tenant_id, position, last)
            if position + 1 < (await stream.bounds(self._bus)).first:
                raise too_old()
            found = [change for one in stored if (change := read(one.seq, one.payload)) is not None]
            more, reached = await self._items(found, limit - len(items))
            items += more
            position = stored[-1].seq if reached is None else reached
            scanned += len(stored)
        return _page(items, position, position < last)

    async def _items(self, changes: Sequence[Change], limit: int) -> tuple[list[ChangeItem], int | None]:
        """The items of changes up to a limit; the position of the last where the limit came first."""
        wanted = [one for one in changes if self._pipeline in (None, one.head.pipeline_id)]
        sights = [await self._sight(one) for one in wanted]
        shown = await self._look(one for one, sight in zip(wanted, sights, strict=True) if sight.asks)
        items: list[ChangeItem] = []
        for change, sight in zip(wanted, sights, strict=True):
            item = self._asked(change, shown) if sight.asks else _item(change, sight)
            if item is not None:
                items.append(item)
            if len(items) == limit:
                return items, change.seq
        return items, None

    async def _sight(self, change: Change) -> Sight:
        definition = await self._definitions.get_or_bare(self._principal.tenant_id, change.head.pipeline_id)
        known = self._sights.get(definition.id)
        if known is None or known[0] != id(definition):
            grants = self._permissions.alternatives(READ, RECORDS, definition.id)
            known = (id(definition), compile_sight(grants, definition, str(self._principal.id)))
            self._sights[definition.id] = known
        return known[1]

    async def _look(self, changes: Iterable[Change]) -> Shown:
        """What records shows of changes whose rules look at other records, asked for all at once."""
        ids = {one.head.id for one in changes if one.verb != "deleted"}
        return await records.look_all(self._bus, self._principal.token, ids) if ids else {}

    def _asked(self, change: Change, shown: Shown) -> ChangeItem | None:
        """Such a change, with the record as it is by now."""
        record = None if change.verb == "deleted" else shown.get(change.head.id)
        if record is not None:
            kind: Kind = "record_created" if change.verb in ("created", "restored") else "record_updated"
            covered = telling.fields_of(record)
            changed = [name for name in change.changed if name in covered]
            return ChangeItem(change.seq, kind, change.time, record, changed, change.actor)
        if was_surely_not(change, None, ruling(self._permissions, change.head.pipeline_id)):
            return None
        detail = "A record may have left what you see; read anew, then go on from 'next_since'"
        raise Gone(detail, code="visibility-unknown", extra={"next_since": change.seq})


def _item(change: Change, sight: Sight) -> ChangeItem | None:
    verdict = judge(change, sight, None)
    if verdict is None:
        return None
    record, changed = telling.record(change, verdict, sight), telling.changed(change, verdict)
    return ChangeItem(change.seq, verdict.kind, change.time, record, changed, change.actor)


def _page(items: list[ChangeItem], position: int, more: bool) -> ChangePage:
    return ChangePage(items, position, more, str(position) if more else None)
