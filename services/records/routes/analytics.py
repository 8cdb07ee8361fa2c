"""Counts over all that the caller may see."""

from datetime import date

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from libs.common.app import Platform
from libs.common.ids import parse_id
from services.records.domain.analytics import Dashboard, Interval, period
from services.records.routes.records import CALLER
from services.records.usecases.analytics import dashboard
from services.records.usecases.caller import Caller


class AnalyticsController(Controller):
    """How many, when, and by whom."""

    path = "/analytics"
    tags = ("Analytics",)
    dependencies = CALLER

    @get("/dashboard", operation_id="Dashboard")
    async def get_dashboard(
        self,
        caller: NamedDependency[Caller],
        platform: NamedDependency[Platform],
        since: FromQuery[date | None] = None,
        until: FromQuery[date | None] = None,
        interval: FromQuery[Interval] = "day",
        pipeline_id: FromQuery[str | None] = None,
    ) -> Response[Dashboard]:
        """Records by pipeline and stage, made and won over time, and activity by user, of what may be seen.

        Days are those of UTC, by default the last thirty. Counts are kept as records are written; where not every row
        may be seen, the newest 20,000 of each pipeline are counted instead, and `complete` says whether these are all.
        """
        position = str(caller.position(platform.bus))
        where = None if pipeline_id is None else parse_id(pipeline_id)
        found = await dashboard(caller, where, period(since, until, interval, caller.now.date()))
        return Response(found, headers={"change-seq": position})
