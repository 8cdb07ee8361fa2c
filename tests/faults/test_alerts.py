"""Alerts fire for real: Debian's Prometheus watches a running platform by the very rules that are deployed.

Its clock runs faster: every duration in the rules is a fifteenth of what it is in production, and all is asked for each
second instead of every 15, so what is seen here within seconds is seen there within a minute.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
import yaml

from deploy.dashboards import DASHBOARDS
from ops.embedded import free_port
from ops.stack import Stack
from ops.stack.home import PROJECT
from ops.stack.plan import ALL
from tests.faults.test_absence import away
from tests.journeys.crm import make_pipeline, make_record, text
from tests.support.platform import Tenant
from tests.support.waiting import eventually, until

PROGRAMS = ("prometheus", "prometheus-redis-exporter", "prometheus-postgres-exporter")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}, Debian packages of these names"),
]
RULES = PROJECT / "deploy" / "observability" / "rules"
FASTER = 15
# What a healthy platform has nothing to show of.
RARE = {"Errors by service", "Errors by route", "Over a limit", "Frames refused"}
TOLD_OF_ONE_AWAY = {"ServiceAway records", "InstanceDown records", "GatewayFailing", "AvailabilityBurnsFast"}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def faster(duration: str) -> str:
    """A fifteenth of a duration, in whole seconds; a rate needs two samples at least."""
    return f"{max(3, int(duration[:-1]) * _UNITS[duration[-1]] // FASTER)}s"


def quickened(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules with every duration, and the bound of a waiting event's age, a fifteenth of what it was."""
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\d+[smhd])\]", lambda match: f"[{faster(match[1])}]", rule["expr"])
            rule["expr"] = rule["expr"].replace("outbox_oldest_seconds) > 20", "outbox_oldest_seconds) > 2")
            if "for" in rule:
                rule["for"] = faster(rule["for"])
    return rules


class Watch:
    """A Prometheus that watches a stack."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, question: str) -> Any:
        """What its API answers; nothing while it does not."""
        try:
            answer = httpx.get(f"{self._url}/{question}", timeout=5)
        except httpx.TransportError:
            return {}
        return answer.json()["data"] if answer.status_code == 200 else {}

    def shows(self, expression: str) -> bool | None:
        """Whether a panel with this query has something to show; null where Prometheus refuses the query."""
        query = expression.replace("$__rate_interval", "10s")
        answer = httpx.get(f"{self._url}/query", params={"query": query}, timeout=30)
        return bool(answer.json()["data"]["result"]) if answer.status_code == 200 else None

    def firing(self) -> set[str]:
        """The alerts that fire, each with the service it is about, if it is about one."""
        alerts = [alert for alert in self.ask("alerts").get("alerts", []) if alert["state"] == "firing"]
        return {" ".join(filter(None, (a["labels"]["alertname"], a["labels"].get("service")))) for a in alerts}

    def up(self) -> int:
        """How many of those whom it asks answer."""
        return sum(target["health"] == "up" for target in self.ask("targets").get("activeTargets", []))


@pytest.fixture(scope="module")
def watch(victim: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """A Prometheus, with the exporters of PostgreSQL and Redis, that has seen everything up."""
    directory = tmp_path_factory.mktemp("prometheus")
    plan, ports = victim.plan, {name: free_port() for name in ("prometheus", "redis", "postgres")}
    exporters = ("redis", "postgres")
    targets = [{"targets": [f"127.0.0.1:{plan.ports[service]}"], "labels": {"service": service}} for service in ALL]
    scraped = [
        {"job_name": "millrace", "static_configs": targets},
        *({"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{ports[name]}"]}]} for name in exporters),
    ]
    for name in ("platform.yml", "servers.yml"):
        rules = quickened(yaml.safe_load((RULES / name).read_text()))
        (directory / name).write_text(yaml.safe_dump(rules))
    settings = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": settings, "rule_files": ["platform.yml", "servers.yml"], "scrape_configs": scraped}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    redis = {"REDIS_ADDR": f"redis://127.0.0.1:{plan.ports['valkey']}", "REDIS_PASSWORD": plan.passwords["valkey"]}
    postgres = {"DATA_SOURCE_NAME": f"{plan.admin_url}?sslmode=disable"}
    commands: list[tuple[list[str], dict[str, str]]] = [
        (["prometheus-redis-exporter", f"--web.listen-address=127.0.0.1:{ports['redis']}"], redis),
        (["prometheus-postgres-exporter", f"--web.listen-address=127.0.0.1:{ports['postgres']}"], postgres),
        (["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
          f"--web.listen-address=127.0.0.1:{ports['prometheus']}", "--enable-feature=exemplar-storage"], {}),
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        started = [
            subprocess.Popen(command, env={"PATH": "/usr/bin", **environ}, stdout=log, stderr=log)
            for command, environ in commands
        ]
        try:
            seen = Watch(ports["prometheus"])
            until(lambda: seen.up() == len(ALL) + len(exporters))
            yield seen
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(10)


async def quiet(watch: Watch) -> None:
    """Waits until nothing fires but what nobody here tells of: NATS has no exporter among Debian's packages."""

    async def nothing() -> bool:
        return watch.firing() <= {"NatsDown"} and watch.up() == len(ALL) + 2

    await eventually(nothing)


async def fires(watch: Watch, *alerts: str) -> None:
    """Waits until these alerts fire; how soon they do stands in docs/artifacts.md."""

    async def all_of_them() -> bool:
        return set(alerts) <= watch.firing()

    await eventually(all_of_them)


async def test_a_service_that_is_away_is_told_of(victim: Stack, victims_tenant: Tenant, watch: Watch) -> None:
    """It is down, no other answers, requests fail, the error budget burns; and all is quiet when it is back."""
    pipeline = await make_pipeline(victims_tenant.client, "Contacts", text("name"))
    await quiet(watch)
    with away(victim, "records"):

        async def told() -> bool:
            for _ in range(5):
                await victims_tenant.client.get(f"/pipelines/{pipeline['id']}/records")
            return watch.firing() >= TOLD_OF_ONE_AWAY

        await eventually(told)
    await _calm(victims_tenant, watch)


async def _calm(tenant: Tenant, watch: Watch) -> None:
    async def over() -> bool:
        await tenant.client.get("/pipelines")
        return not {"ServiceAway records", "GatewayFailing"} & watch.firing()

    await eventually(over)


async def test_every_panel_has_something_to_show(victims_tenant: Tenant, watch: Watch) -> None:
    """Prometheus answers each query of the dashboards, and none is empty but those of what seldom happens."""
    pipeline = await make_pipeline(victims_tenant.client, "Contacts", text("name"))
    queries = {
        f"{panel.title}: {legend}": expression
        for panels in DASHBOARDS.values()
        for panel in panels
        for legend, expression in panel.queries.items()
    }
    empty: set[str] = set()

    async def shown() -> bool:
        await make_record(victims_tenant.client, pipeline, {"name": "One"})
        empty.clear()
        empty.update(title for title, query in queries.items() if not watch.shows(query))
        return {title for title in empty if title.split(":")[0] not in RARE} == set()

    with suppress(AssertionError):
        await eventually(shown)
    assert {title.split(":")[0] for title in empty} <= RARE
    assert {title for title in empty if watch.shows(queries[title]) is None} == set()


async def test_events_that_are_not_published_are_told_of(victim: Stack, victims_tenant: Tenant, watch: Watch) -> None:
    """With the broker away a write waits in the outbox, and its age is what fires."""
    pipeline = await make_pipeline(victims_tenant.client, "Contacts", text("name"))
    await make_record(victims_tenant.client, pipeline, {"name": "Zero"})
    with away(victim, "nats"):
        await make_record(victims_tenant.client, pipeline, {"name": "One"})
        await fires(watch, "EventsStall records")


async def test_a_cache_that_is_away_is_told_of(victim: Stack, watch: Watch) -> None:
    """The exporter answers, and says that Redis does not."""
    with away(victim, "valkey"):
        await fires(watch, "RedisDown")


async def test_a_database_that_is_away_is_told_of(victim: Stack, watch: Watch) -> None:
    """The exporter answers, and says that PostgreSQL does not."""
    with away(victim, "postgres"):
        await fires(watch, "PostgresDown")
