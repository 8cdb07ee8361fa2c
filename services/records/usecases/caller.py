"""Who asks, and what they may reach: the first argument of every use case."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from libs.common import clock, standby
from libs.common.bus import Bus
from libs.common.errors import AppError, Invalid, NotFound, Unavailable, VersionRequired
from libs.common.filters import Context
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.postgres import Database
from services.records.domain.pipelines import Pipeline
from services.records.domain.reach import Reach
from services.records.usecases.catalog import Catalog
from services.records.usecases.people import Met, Strangers

T = TypeVar("T")
MAX_COLD = 100
MAX_MOVES = 5
MAX_PIPELINES = 200


class Cold(Exception):
    """A pipeline is not in memory; a transaction asks nobody, so it ends, and begins anew when it is."""

    def __init__(self, pipeline_id: UUID) -> None:
        self.pipeline_id = pipeline_id
        super().__init__()


class Moved(Unavailable):
    """The pipeline has another definition by now; the work begins anew with that."""

    def __init__(self, pipeline_id: UUID) -> None:
        self.pipeline_id = pipeline_id
        super().__init__(code="definition-changed", retry_after=1)


class Outrun(Moved):
    """Another made the record meanwhile that was to be made by its unique value; the work begins anew, and finds it."""


class Caller:
    """One principal at one moment."""

    __slots__ = (
        "_located", "afterwards", "catalog", "context", "database", "elsewhere", "gone", "met", "now",
        "permissions", "principal",
    )  # fmt: skip

    def __init__(self, principal: Principal, permissions: Permissions, catalog: Catalog, database: Database) -> None:
        self.principal = principal
        self.permissions = permissions
        self.catalog = catalog
        self.database = database
        self.elsewhere = standby.enter(principal.id, principal.tenant_id)
        self.gone: set[UUID] = set()
        self.met = Met()
        self.afterwards: list[Callable[[], Awaitable[None]]] = []
        present = clock.now()
        self.now: datetime = present.replace(microsecond=present.microsecond // 1000 * 1000)
        self.context = Context(self.now, str(principal.id), UTC)
        """For what filters say of now, of days, and of the caller; in the tenant's zone once a pipeline was reached."""
        self._located = False

    @property
    def tenant_id(self) -> UUID:
        """The principal's tenant."""
        return self.principal.tenant_id

    @property
    def reads(self) -> Database:
        """Where to read what may be a little old: a standby, where there is one that will do."""
        return self.database if self.elsewhere is None else self.elsewhere[0]

    def position(self, bus: Bus) -> int:
        """A position of the stream up to which `reads` contains everything."""
        return bus.position if self.elsewhere is None else self.elsewhere[1]

    async def reach(self, pipeline_id: UUID) -> Reach:
        """A pipeline and what its relations lead to."""
        await self._locate()
        cached = self.catalog.cached_reach(self.principal, self.permissions, pipeline_id)
        return cached or await self.catalog.reach(self.principal, self.permissions, pipeline_id)

    async def _locate(self) -> None:
        if not self._located:
            zone = await self.catalog.tenants.zone(self.tenant_id)
            self.context, self._located = Context(self.now, str(self.principal.id), zone), True

    async def judged(self, pipeline_id: UUID, judge: Callable[[Reach], T]) -> T:
        """What is made of a pipeline; what is found invalid is judged again if that has changed in the meantime."""
        reach = await self.reach(pipeline_id)
        try:
            return judge(reach)
        except Invalid:
            if await self.catalog.newer(self.tenant_id, reach.pipeline) is None:
                raise
        return judge(await self.reach(pipeline_id))

    async def reaches(self, pipeline_id: UUID | None) -> list[Reach]:
        """The pipeline that is named, which must be readable, or all whose records may be read."""
        if pipeline_id is not None:
            reach = await self.reach(pipeline_id)
            reach.require("read")
            return [reach]
        found: list[Reach] = []
        for known in await self.catalog.pipeline_ids(self.tenant_id, MAX_PIPELINES):
            try:
                reach = await self.reach(known)
            except NotFound:
                continue
            if reach.access("read").alternatives:
                found.append(reach)
        return found

    async def require_version(self, pipeline_id: UUID) -> None:
        """Refuses a change that names no version, where tenant or pipeline want one."""
        strict = await self.catalog.tenants.require_if_match(self.tenant_id)
        if not strict:
            reach = await self.reach(pipeline_id)
            strict = await self._strict(reach.pipeline) and bool(reach.access("read").alternatives)
        if strict:
            raise VersionRequired("Name the version you change by If-Match", code="precondition-required")

    async def _strict(self, pipeline: Pipeline) -> bool:
        if not pipeline.definition.require_if_match:
            return False
        newer = await self.catalog.newer(self.tenant_id, pipeline)
        return (newer or pipeline).definition.require_if_match

    def warm_reach(self, pipeline_id: UUID) -> Reach | None:
        """A reach that is in memory, for use within a transaction; null where there is no such pipeline."""
        cached = self.catalog.cached_reach(self.principal, self.permissions, pipeline_id)
        if cached is None and pipeline_id not in self.gone:
            raise Cold(pipeline_id)
        return cached

    async def warmed(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of work whose transactions use what is in memory only; what is missing is fetched in between."""
        await self._locate()
        for _ in range(MAX_COLD):
            try:
                return await work()
            except Cold as cold:
                try:
                    await self.reach(cold.pipeline_id)
                except NotFound:
                    self.gone.add(cold.pipeline_id)
            except Strangers as strangers:
                await self.catalog.people.meet(self.tenant_id, strangers, self.met)
        raise Unavailable("The definitions change faster than they can be read")

    async def settled(self, pipeline_id: UUID, work: Callable[[Reach], Awaitable[T]]) -> T:
        """The work's result, when what follows at once has been done. What it finds invalid is judged again if the
        pipeline has changed in the meantime, and what was begun by a definition that is not the newest begins anew.
        """
        result = await self._settled(pipeline_id, work)
        tasks, self.afterwards = self.afterwards, []
        for task in tasks:
            with suppress(AppError):
                await task()
        return result

    async def _settled(self, pipeline_id: UUID, work: Callable[[Reach], Awaitable[T]]) -> T:
        await self.catalog.plans.of(self.tenant_id)
        reach = await self.reach(pipeline_id)
        try:
            return await self._following(reach, work)
        except Invalid:
            if await self.catalog.newer(self.tenant_id, reach.pipeline) is None:
                raise
        return await self._following(await self.reach(pipeline_id), work)

    async def _following(self, reach: Reach, work: Callable[[Reach], Awaitable[T]]) -> T:
        for _ in range(MAX_MOVES):
            try:
                return await self.warmed(partial(work, reach))
            except Moved as moved:
                await self.catalog.reload(self.tenant_id, moved.pipeline_id)
                reach = await self.reach(reach.pipeline.id)
        raise Moved(reach.pipeline.id)
