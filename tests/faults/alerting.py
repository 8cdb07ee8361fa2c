"""A Prometheus that watches a platform by the configuration and the rules that are shipped, by a faster clock."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import yaml

from ops.embedded import free_port
from ops.stack import Stack
from ops.stack.home import PROJECT
from ops.stack.plan import ALL
from tests.support.waiting import PATIENCE, eventually, until

Json = dict[str, Any]
PROGRAMS = ("prometheus", "prometheus-redis-exporter", "prometheus-postgres-exporter")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
RULES = PROJECT / "deploy" / "observability" / "rules"
CONFIGURATION = PROJECT / "deploy" / "compose" / "config" / "prometheus.yml"
Doing = Callable[[], Awaitable[object]]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def quickened(rules: Json) -> Json:
    """The rules by a faster clock, nothing else of them changed.

    They are looked at each second; what has to last (`for`) lasts a 120th of what it does in production, a second at
    least; windows are a tenth, ten seconds at least, so that a slow machine's few samples are enough.
    """
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\d+[smhd])\]", lambda it: f"[{_shorter(it[1], 10, 10)}]", rule["expr"])
            if "for" in rule:
                rule["for"] = _shorter(rule["for"], 120, 1)
    return rules


def _shorter(duration: str, times: int, least: int) -> str:
    return f"{max(least, int(duration[:-1]) * _UNITS[duration[-1]] // times)}s"


def scraped(addresses: dict[str, str]) -> list[Json]:
    """Whom the shipped configuration asks, each where it is here; those that are not are left out."""
    jobs = yaml.safe_load(CONFIGURATION.read_text())["scrape_configs"]
    for job in jobs:
        for entry in job["static_configs"]:
            entry["targets"] = [addresses[target] for target in entry["targets"] if target in addresses]
    return [job for job in jobs if any(entry["targets"] for entry in job["static_configs"])]


class Watch:
    """A Prometheus that watches a stack. `cluster` is what kube-state-metrics would tell, by series."""

    def __init__(self, port: int) -> None:
        self._api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=30)
        self.cluster: dict[str, float] = {}

    def close(self) -> None:
        """Asks no more."""
        self._api.close()

    def ask(self, question: str) -> Any:
        """What its API answers; nothing while it does not."""
        try:
            answer = self._api.get(question)
        except httpx.TransportError:
            return {}
        return answer.json()["data"] if answer.status_code == 200 else {}

    def values(self, query: str) -> list[float] | None:
        """The values of an expression's series now; null where Prometheus refuses it."""
        answer = self._api.get("query", params={"query": query})
        return [float(it["value"][1]) for it in answer.json()["data"]["result"]] if answer.status_code == 200 else None

    def firing(self) -> set[str]:
        """The alerts that fire, each with the service it is about, if it is about one."""
        return {" ".join(filter(None, (it["alertname"], it.get("service")))) for it in self._firing()}

    def told_of(self, label: str) -> set[str]:
        """The values of a label of what fires."""
        return {it[label] for it in self._firing() if label in it}

    def _firing(self) -> list[dict[str, str]]:
        return [it["labels"] for it in self.ask("alerts").get("alerts", []) if it["state"] == "firing"]

    def all_up(self) -> bool:
        """Whether all whom it asks answer."""
        targets = self.ask("targets").get("activeTargets", [])
        return bool(targets) and all(target["health"] == "up" for target in targets)

    async def tells(self, alerts: frozenset[str], meanwhile: Doing | None = None) -> None:
        """Waits until each of these has fired; `meanwhile` is done again and again until then."""
        told: set[str] = set()

        async def all_of_them() -> bool:
            await _round(meanwhile)
            told.update(self.firing())
            return alerts <= told

        await eventually(all_of_them, 2 * PATIENCE)

    async def calm(self, alerts: frozenset[str], meanwhile: Doing | None = None) -> None:
        """Waits until none of these fires, and everybody answers."""

        async def none_of_them() -> bool:
            await _round(meanwhile)
            return not alerts & self.firing() and self.all_up()

        await eventually(none_of_them, 2 * PATIENCE)


async def _round(doing: Doing | None) -> None:
    if doing:
        await doing()
    await asyncio.sleep(0.2)


@contextmanager
def watching(stack: Stack, directory: Path) -> Iterator[Watch]:
    """A Prometheus with the exporters of PostgreSQL and Redis, once it has seen everything up.

    Two exporters are no packages of Debian. In the place of that of NATS stands what tells of the real server by the
    name that prometheus-nats-exporter documents (`-healthz`); in the place of kube-state-metrics what a test says of a
    cluster, by the names that are documented.
    """
    plan, names = stack.plan, ("prometheus", "redis-exporter", "postgres-exporter")
    ports = dict(zip(names, (free_port() for _ in names), strict=True))
    watch = Watch(ports["prometheus"])

    def broker() -> str:
        away = "" if plan.servers["nats"].ready() else "connection refused"
        value, status = (away, 1) if away else ("ok", 0)
        return f'gnatsd_healthz_status{{server_id="{plan.nats_url.rpartition("@")[2]}",value="{value}"}} {status}\n'

    def cluster() -> str:
        return "".join(f"{series} {value}\n" for series, value in watch.cluster.items())

    with telling(broker) as nats, telling(cluster) as kubernetes:
        addresses = {
            **{f"{service}:8000": f"127.0.0.1:{plan.ports[service]}" for service in ALL},
            "postgres-exporter:9187": f"127.0.0.1:{ports['postgres-exporter']}",
            "redis-exporter:9121": f"127.0.0.1:{ports['redis-exporter']}",
            "nats-exporter:7777": nats,
            "127.0.0.1:9090": f"127.0.0.1:{ports['prometheus']}",
        }
        of_cluster = {"job_name": "kube-state-metrics", "static_configs": [{"targets": [kubernetes]}]}
        _configure(directory, [*scraped(addresses), of_cluster])
        with (directory / "log").open("wb") as log:
            started = [
                subprocess.Popen(command, env={"PATH": "/usr/bin", **environ}, stdout=log, stderr=log)
                for command, environ in _commands(stack, directory, ports)
            ]
            try:
                until(watch.all_up, 2 * PATIENCE)
                yield watch
            finally:
                watch.close()
                for process in started:
                    process.terminate()
                for process in started:
                    process.wait(30)


def _configure(directory: Path, jobs: list[Json]) -> None:
    paths = sorted(RULES.glob("*.yml"))
    for path in paths:
        (directory / path.name).write_text(yaml.safe_dump(quickened(yaml.safe_load(path.read_text()))))
    settings = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": settings, "rule_files": [path.name for path in paths], "scrape_configs": jobs}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))


def _commands(stack: Stack, directory: Path, ports: dict[str, int]) -> list[tuple[list[str], dict[str, str]]]:
    plan = stack.plan
    redis = {"REDIS_ADDR": f"redis://127.0.0.1:{plan.ports['valkey']}", "REDIS_PASSWORD": plan.passwords["valkey"]}
    postgres = {"DATA_SOURCE_NAME": f"{plan.admin_url}?sslmode=disable"}
    listen = {name: f"--web.listen-address=127.0.0.1:{port}" for name, port in ports.items()}
    return [
        (["prometheus-redis-exporter", listen["redis-exporter"]], redis),
        (["prometheus-postgres-exporter", listen["postgres-exporter"]], postgres),
        (["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
          listen["prometheus"], "--enable-feature=exemplar-storage"], {}),
    ]  # fmt: skip


@contextmanager
def telling(metrics: Callable[[], str]) -> Iterator[str]:
    """The address at which metrics are told, as an exporter does."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = metrics().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
