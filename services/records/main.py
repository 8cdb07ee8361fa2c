"""The records service, put together: settings → resources → application."""

from litestar.types import ASGIApp

from libs.common import settings
from libs.common.app import Platform, create_app, serve
from libs.common.standby import ReadElsewhere, Reads, Standby
from services.records.consumers import auth, counts, documents, locks, looks, persons, pipelines, questions
from services.records.routes.analytics import AnalyticsController
from services.records.routes.batch import BatchController
from services.records.routes.exports import ExportJobsController, ExportsController
from services.records.routes.files import FilesController
from services.records.routes.forms import FormsController, PublicFormsController
from services.records.routes.imports import ImportJobsController, ImportsController
from services.records.routes.jobs import JobsController
from services.records.routes.merging import DuplicatesController, MergeController
from services.records.routes.records import RecordsController
from services.records.routes.relationships import RelationshipsController, WaysController
from services.records.routes.search import SearchController
from services.records.routes.sharing import SharedController, ShareLinksController, ViewLinksController
from services.records.routes.shortcut import Shortcut
from services.records.settings import Settings
from services.records.storage.objects import open_store
from services.records.usecases import exports, imports, searching
from services.records.usecases.analytics import Counter
from services.records.usecases.catalog import SCHEMA, Catalog
from services.records.usecases.ending import Ending
from services.records.usecases.evolving import evolve
from services.records.usecases.files import Pruner
from services.records.usecases.forgetting import Forgetter
from services.records.usecases.indexing import Indexer
from services.records.usecases.jobs import COMPUTE
from services.records.usecases.owners import Owners
from services.records.usecases.recomputing import recompute
from services.records.usecases.running import Runner
from services.records.usecases.settling import Settler

ROUTES = (
    RecordsController,
    BatchController,
    RelationshipsController,
    WaysController,
    JobsController,
    ImportsController,
    ImportJobsController,
    ExportsController,
    ExportJobsController,
    DuplicatesController,
    MergeController,
    SearchController,
    FilesController,
    AnalyticsController,
    ShareLinksController,
    ViewLinksController,
    SharedController,
    FormsController,
    PublicFormsController,
)


def reads_of(platform: Platform, given: Settings) -> Reads | None:
    """What reads a standby, where there is one. What has changed for a tenant as a whole is read from the primary."""
    if given.replica_database_url is None:
        return None
    standby = Standby(
        settings.latest("REPLICA_DATABASE_URL", given.replica_database_url),
        pool_size=given.database_pool_size,
        statement_seconds=given.statement_seconds,
        name="millrace records standby",
    )
    platform.pools.add("standby", standby)
    registry, staleness = platform.metrics.registry, given.replica_staleness_seconds
    reads = Reads("records", platform.database, standby, platform.bus, staleness, registry)
    reads.heed("evt.*.pipelines.pipeline.*")
    reads.heed("evt.*.records.job.*")
    return reads


def build(given: Settings) -> ASGIApp:
    """The service as an ASGI application."""
    platform = Platform("records", given)
    catalog = Catalog(platform.database, platform.bus)
    catalog.plans = platform.plans

    async def listen() -> None:
        pipelines.listen(platform.bus, platform.database, catalog)
        auth.listen(platform.bus, platform.database, catalog)
        questions.serve(platform, catalog)
        persons.serve(platform.bus, platform.database)
        looks.serve(platform, catalog)
        locks.serve(platform, catalog)
        documents.serve(platform, catalog)
        counts.serve(platform, catalog)

    reads = reads_of(platform, given)

    def shortcut(app: ASGIApp) -> ASGIApp:
        found = Shortcut(app, platform, catalog)
        return found if reads is None else ReadElsewhere(found, reads)

    runner = Runner(
        platform.database,
        platform.roles,
        catalog,
        concurrency=given.job_concurrency,
        lease_seconds=given.job_lease_seconds,
    )
    runner.add(searching.REBUILD, searching.rebuild)
    runner.add(SCHEMA, evolve)
    settler = Settler(platform.database, catalog.heavy)
    runner.add(COMPUTE, recompute, settler.heed, lane="computed")
    start, stop = [listen, runner.start, settler.start], [runner.stop, settler.stop]
    if reads is not None:
        start.append(reads.start)
        stop.append(reads.stop)
    if given.migration_database_url is not None:
        indexer = Indexer(settings.latest("MIGRATION_DATABASE_URL", given.migration_database_url))
        start.append(indexer.start)
        stop.append(indexer.stop)
    objects = open_store(given.files_url, given.files_access_key, given.files_secret_key)
    importer, exporter = imports.Importer(objects, platform.database), exports.Exporter(objects)
    runner.add(imports.KIND, importer.run, importer.forget)
    runner.add(exports.KIND, exporter.run, exporter.forget)
    pruner = Pruner(platform.database, objects)
    platform.purger.first = Ending(pruner, objects).purge
    forgetter = Forgetter(platform.database, catalog)
    counter = Counter(platform.database)
    start += [pruner.start, forgetter.start, counter.start]
    stop += [pruner.stop, forgetter.stop, counter.stop]
    owners = Owners(platform.bus, platform.database, platform.roles, catalog)
    given_to_all = {"catalog": catalog, "objects": objects, "runner": runner, "owners": owners}
    return create_app(
        platform, ROUTES, dependencies=given_to_all, on_start=start, on_stop=stop, shortcut=shortcut, idempotent=True
    )


def main() -> None:
    """Runs the service until it is told to stop."""
    given = settings.of_process(Settings, "records")
    serve(build(given), given)


if __name__ == "__main__":
    main()
