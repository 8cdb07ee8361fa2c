"""Alerts fire for real: Debian's Prometheus watches a running platform by the very rules that are deployed.

`alerting.quickened` says how much faster its clock runs. Each test drives the platform into what its alerts are about;
docs/artifacts.md has them in a table.
"""

import asyncio
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import connect

from deploy.dashboards import DASHBOARDS
from millrace.client import Live
from ops.stack import Stack
from tests.deploy.charts import of_kind
from tests.faults.alerting import MISSING, Watch, watching
from tests.faults.conftest import own_stack
from tests.faults.test_absence import away
from tests.faults.watching import recovered
from tests.journeys.crm import Json, make_pipeline, make_record, make_records, relation, text, told
from tests.support.platform import PASSWORD, Tenant, client
from tests.support.waiting import eventually, until

T = TypeVar("T", bound=Callable[..., Any])
pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}, Debian packages of these names"),
]
# What a few sockets are enough for; and limits that only who guesses passwords is over.
ENVIRON = {
    "MAX_SOCKETS": "100",
    "QUEUE_BYTES": "65536",
    "RATE_LIMITS": "on",
    "LIMIT_PRINCIPAL_BURST": "1000000",
    "LIMIT_TENANT_BURST": "1000000",
    "LIMIT_ADDRESS_BURST": "1000000",
    "LIMIT_SIGN_IN_ADDRESS_PER_MINUTE": "1000000",
}
CROWD = 90
# How quickly this machine answers is nobody's concern here.
OF_THE_MACHINE = {"GatewaySlow", "LatencyHigh gateway", "LatencyBurnsFast", "LatencyBurnsSlowly"}
FIRED: set[str] = set()


def fires(*alerts: str) -> Callable[[T], T]:
    """The alerts that a test makes fire, each with the service it is about; the test is given them.

    `tests/deploy/test_observability.py` looks that each rule is among some test's.
    """

    def noted(test: T) -> T:
        FIRED.update(alert.partition(" ")[0] for alert in alerts)
        marked: T = pytest.mark.parametrize("alerts", [frozenset(alerts)], ids=["alerts"])(test)
        return marked

    return noted


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose bounds a test can reach."""
    with own_stack(tmp_path_factory.mktemp("victim"), **ENVIRON) as stack:
        yield stack


@pytest.fixture(scope="module")
def watch(victim: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Prometheus, to which nothing of this platform was worth an alert before the first test."""
    with watching(victim, tmp_path_factory.mktemp("prometheus")) as watch:
        until(lambda: watch.firing() <= OF_THE_MACHINE)
        yield watch


@fires("GatewaySlow", "LatencyHigh gateway", "LatencyBurnsFast", "LatencyBurnsSlowly")
async def test_requests_that_wait_are_told_of(
    victim: Stack, victims_tenant: Tenant, watch: Watch, alerts: frozenset[str]
) -> None:
    """Somebody locks the table of records again and again, for 0.4 s."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    record = await make_record(api, pipeline, {"name": "One"})
    path = f"/pipelines/{pipeline['id']}/records/{record['id']}"
    waiting = "select count(*) >= 5 from pg_locks where not granted and relation = 'records.records'::regclass"
    async with connected(victim) as locking, connected(victim) as looking:

        async def locked() -> None:
            async with locking.transaction():
                await locking.execute("lock table records.records in access exclusive mode")
                asked = [asyncio.create_task(api.get(path)) for _ in range(10)]
                await eventually(lambda: looking.fetchval(waiting))
                await locking.execute("select pg_sleep(0.4)")
            await asyncio.gather(*asked)  # Some are refused where so many needed long to come.

        await watch.tells(alerts, locked)


@fires(
    "ServiceAway records", "InstanceDown records", "GatewayFailing", "AvailabilityBurnsFast", "AvailabilityBurnsSlowly",
    "Restarting gateway",
)  # fmt: skip
async def test_a_service_that_is_away_is_told_of(
    victim: Stack, victims_tenant: Tenant, watch: Watch, alerts: frozenset[str]
) -> None:
    """Records is stopped while requests come; then the gateway is killed again and again."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    await watch.calm(alerts)

    async def asked() -> None:
        for _ in range(5):
            await api.get(f"/pipelines/{pipeline['id']}/records")

    with away(victim, "records"):
        await watch.tells(alerts - {"Restarting gateway"}, asked)
    await watch.calm(frozenset({"ServiceAway records", "InstanceDown records", "GatewayFailing"}), asked)

    def began() -> list[float]:
        return watch.values('process_start_time_seconds{service="gateway"}') or []

    async def killed() -> None:
        before = began()
        victim.supervisor.send("KILL", "gateway")

        async def seen_again() -> bool:
            await asyncio.sleep(0.1)
            return bool(found := began()) and found != before and watch.all_up()

        await eventually(seen_again)

    await watch.tells(alerts & {"Restarting gateway"}, killed)


@fires("EventsStall records", "NatsDown", "RedisDown", "PostgresDown", "ServiceErrors records")
async def test_servers_that_are_away_are_told_of(
    victim: Stack, victims_tenant: Tenant, watch: Watch, alerts: frozenset[str]
) -> None:
    """NATS and Valkey are stopped, and a record written; then PostgreSQL, while requests come."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    await make_record(api, pipeline, {"name": "Zero"})
    await watch.calm(alerts)
    of_database = alerts & {"PostgresDown", "ServiceErrors records"}

    async def asked() -> None:
        for _ in range(5):
            await api.get(f"/pipelines/{pipeline['id']}/records")

    with away(victim, "nats"), away(victim, "valkey"):
        await make_record(api, pipeline, {"name": "One"})
        await watch.tells(alerts - of_database)
        with away(victim, "postgres"):
            await watch.tells(of_database, asked)


@fires("SocketsNearLimit realtime", "FilesRunOut realtime", "ManyRefused", "SlowReaders")
async def test_a_crowd_is_told_of(victim: Stack, victims_tenant: Tenant, watch: Watch, alerts: frozenset[str]) -> None:
    """90 sockets of the 100 that are taken, by a process of few files; passwords are guessed; then nobody reads."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    record = await make_record(api, pipeline, {"name": "x" * 90_000})
    await watch.calm(alerts)

    async def changed() -> None:
        for number in range(5):
            data = {"name": f"{number}{'x' * 90_000}"}
            told(await api.patch(f"/pipelines/{pipeline['id']}/records/{record['id']}", json={"data": data}))

    async with crowd(victim, victims_tenant, pipeline):
        with few_files(victim, "realtime"):
            await watch.tells(alerts - {"SlowReaders"}, partial(guess, victim, victims_tenant))
        await watch.tells(alerts & {"SlowReaders"}, changed)


async def guess(stack: Stack, tenant: Tenant) -> None:
    """Tries more passwords for an account than may be tried."""
    body = {"email": "nobody@example.com", "password": PASSWORD}
    async with client(stack.plan.gateway_url, **{"X-Tenant": tenant.slug}) as anonymous:
        await asyncio.gather(*(anonymous.post("/auth/login", json=body) for _ in range(20)))


@asynccontextmanager
async def crowd(stack: Stack, tenant: Tenant, pipeline: Json) -> AsyncIterator[None]:
    """Sockets that watch a pipeline and read nothing of it, of little room on the way to them."""
    address = f"{stack.plan.gateway_url.replace('http', 'ws', 1)}/api/v1/ws"
    options: Json = {"max_queue": 1, "compression": None, "ping_interval": None, "close_timeout": 0.1}
    async with AsyncExitStack() as sockets:
        for _ in range(CROWD):
            narrow = socket.socket()
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.connect(("127.0.0.1", stack.plan.ports["gateway"]))
            live = Live(await sockets.enter_async_context(connect(address, sock=narrow, **options)))
            await live.send(type="authenticate", token=tenant.access_token)
            await live.subscribe(f"pipeline:{pipeline['id']}")
        yield


@contextmanager
def few_files(stack: Stack, service: str) -> Iterator[None]:
    """A process may have hardly more files open than it has."""
    pid = next(condition.pid for condition in stack.status() if condition.name == service)
    allowed = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    opened = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (int(opened / 0.85), allowed[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, allowed)


@fires("ConsumersBehind", "PostgresConnectionsRunOut")
async def test_what_runs_full_is_told_of(
    victim: Stack, victims_tenant: Tenant, watch: Watch, alerts: frozenset[str]
) -> None:
    """Auth notes no event, its table being locked, while 1,001 records go for good; 9 in 10 connections are taken."""
    api = victims_tenant.client
    kind = {"name": "works_at", "inverse_name": "employs", "cardinality": "many_to_one", "on_delete": "cascade"}
    told(await api.post("/relationship-types", json=kind), 201)
    companies = await make_pipeline(api, "Companies", text("name"))
    people = await make_pipeline(api, "People", relation("company", companies, "works_at"))
    company = await make_record(api, companies, {"name": "Acme"})
    await eventually(lambda: _taken(api, people, {"company": company["id"]}))
    await make_records(api, people, [{"company": company["id"]}] * 1000)
    await watch.calm(alerts)
    async with AsyncExitStack() as held:
        locking, looking = [await held.enter_async_context(connected(victim)) for _ in range(2)]
        await locking.execute("begin; lock table auth.inbox in exclusive mode")
        path = f"/pipelines/{companies['id']}/records/{company['id']}"
        told(await api.delete(path, params={"permanent": "true"}), 204)
        used = "select count(*) < 0.88 * current_setting('max_connections')::int from pg_stat_activity"
        while await looking.fetchval(f"{used} where datname is not null"):
            await held.enter_async_context(connected(victim))
        await watch.tells(alerts)


async def _taken(api: httpx.AsyncClient, pipeline: Json, data: Json) -> bool:
    return (await api.post(f"/pipelines/{pipeline['id']}/records", json={"data": data})).status_code == 201


@asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of an administrator."""
    connection = await asyncpg.connect(stack.plan.admin_url)
    try:
        yield connection
    finally:
        await connection.close()


@fires("BackupMissing", "BackupUnproven", "ArchiveStopped")
async def test_backups_that_fail_are_told_of(watch: Watch, alerts: frozenset[str]) -> None:
    """As kube-state-metrics would tell of the chart's jobs: each is late, that of the archive never succeeded."""
    jobs, now = of_kind("production", "CronJob").keys(), time.time()
    [archive] = of_kind("production", "StatefulSet")
    ready = f'kube_statefulset_status_replicas_ready{{statefulset="{archive}"}}'
    made = {f'kube_cronjob_created{{cronjob="{job}"}}': now - 20 * 86400 for job in jobs}
    success = 'kube_cronjob_status_last_successful_time{{cronjob="{}"}}'.format
    watch.cluster.update({**made, **{success(job): now for job in jobs}, ready: 1})
    await watch.calm(alerts)
    late = {job: now - (9 * 86400 if job.endswith("-verify") else 27 * 3600) for job in jobs if "archive" not in job}
    watch.cluster.clear()
    watch.cluster.update({**made, **{success(job): when for job, when in late.items()}, ready: 0})
    await watch.tells(alerts)

    async def of_each() -> bool:
        return watch.told_of("cronjob") >= jobs

    await eventually(of_each)


async def test_every_panel_has_something_to_show(victim: Stack, victims_tenant: Tenant, watch: Watch) -> None:
    """Prometheus answers each query of the dashboards, and none is empty once what they tell of has happened."""
    api = victims_tenant.client
    pipeline = await make_pipeline(api, "Contacts", text("name"))
    queries = {
        f"{panel.title}: {legend}": expression.replace("$__rate_interval", "5m")
        for panels in DASHBOARDS.values()
        for panel in panels
        for legend, expression in panel.queries.items()
    }
    with away(victim, "records"):
        for path in (f"/pipelines/{pipeline['id']}/records", "/shared/kQ0_x-3hL9aPz7Rt5Wv2Yb8Nc4Md6Ef1"):
            assert (await api.get(path)).status_code == 503
    recovered(victim)
    empty: set[str] = set()

    async def shown() -> bool:
        await make_record(api, pipeline, {"name": "One"})
        await guess(victim, victims_tenant)
        async with Live.open(victim.plan.gateway_url, victims_tenant.access_token) as live:
            await live.subscribe(f"pipeline:{pipeline['id']}", from_seq=0)
            await live.send(type="unheard-of")
            await live.expect("error")
        empty.clear()
        empty.update(title for title, query in queries.items() if not watch.values(query))
        return not empty

    with suppress(AssertionError):
        await eventually(shown)
    assert empty == set()
    assert {title for title, query in queries.items() if watch.values(query) is None} == set()
