"""The configurations of the profile `observability` fit together, and Prometheus itself finds its own whole."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.settings import SERVICES
from tests.deploy.charts import containers
from tests.deploy.test_compose import COMPOSE, CONTAINERS

CONFIG = COMPOSE / "config"
RULES = COMPOSE.parent / "observability" / "rules"


def read(name: str) -> dict[str, Any]:
    """A configuration."""
    found: dict[str, Any] = yaml.safe_load((CONFIG / name).read_text())
    return found


PROMETHEUS = read("prometheus.yml")
JOBS = {job["job_name"]: job["static_configs"] for job in PROMETHEUS["scrape_configs"]}


def together(one: str, other: str) -> bool:
    """Whether two containers share a network."""
    return bool(set(CONTAINERS[one]["networks"]) & set(CONTAINERS[other]["networks"]))


def test_every_service_is_asked_for_metrics_by_its_name() -> None:
    """The label that the rules and dashboards go by is on each, and names who is asked."""
    assert {entry["labels"]["service"]: entry["targets"] for entry in JOBS["millrace"]} == {
        service: [f"{service}:{CONTAINERS[service]['environment'].get('PORT')}"] for service in SERVICES
    }


def test_everybody_who_is_asked_is_there_and_in_reach() -> None:
    """Each target is a container that Prometheus shares a network with."""
    targets = {target.split(":")[0] for entries in JOBS.values() for entry in entries for target in entry["targets"]}
    names = targets - {"127.0.0.1"}
    assert names <= CONTAINERS.keys()
    assert {name for name in names if not together("prometheus", name)} == set()


def test_the_broker_is_asked_how_it_is() -> None:
    """Its exporter is up without it; only what `-healthz` adds tells that it is away, and the rule goes by that."""
    assert "-healthz" in CONTAINERS["nats-exporter"]["command"]
    assert "gnatsd_healthz_status" in (RULES / "servers.yml").read_text()


def test_jobs_log_as_services_do() -> None:
    """What jobs say is lines of JSON, in containers and on a cluster."""
    ours = {name: it for name, it in CONTAINERS.items() if "millrace/operations" in it["image"]}
    assert ours
    assert {name for name, it in ours.items() if it["environment"].get("LOG_FORMAT") != "json"} == set()
    jobs = {name: it["env"] for name, it in containers("production").items() if "/millrace" in name}
    assert jobs
    assert {name for name, env in jobs.items() if {"name": "LOG_FORMAT", "value": "json"} not in env} == set()


def test_the_rules_are_those_that_are_tested() -> None:
    """All but those of the cluster, which nobody here tells of."""
    loaded = {Path(path).name for path in PROMETHEUS["rule_files"]}
    assert loaded == {path.name for path in RULES.glob("*.yml")} - {"cluster.yml"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus")
def test_prometheus_finds_its_configuration_whole(tmp_path: Path) -> None:
    """`promtool check config`, with the rules where the container has them."""
    text = (CONFIG / "prometheus.yml").read_text().replace("/etc/prometheus/rules", str(RULES))
    (tmp_path / "prometheus.yml").write_text(text)
    done = subprocess.run(["promtool", "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool, of Debian's package prometheus")
def test_every_alert_fires_on_its_case() -> None:
    """And none on that of a healthy platform, as promtool reckons."""
    cases = RULES.parent / "rules.test.yml"
    done = subprocess.run(["promtool", "test", "rules", str(cases)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", read("grafana/datasources/millrace.yml")["datasources"], ids=lambda it: it["name"])
def test_grafana_reaches_its_sources(source: dict[str, Any]) -> None:
    """Each is a container in Grafana's network; what leads from one to another leads to one that is there."""
    assert together("grafana", str(urlsplit(source["url"]).hostname))
    uids = {found["uid"] for found in read("grafana/datasources/millrace.yml")["datasources"]}
    assert set(re.findall(r"'datasourceUid': '(\w+)'", str(source))) <= uids


def test_grafana_loads_the_dashboards_that_are_tested() -> None:
    """The provider's folder is where the compose file mounts them."""
    path = read("grafana/dashboards/millrace.yml")["providers"][0]["options"]["path"]
    assert f"../observability/dashboards:{path}:ro" in CONTAINERS["grafana"]["volumes"]


@pytest.mark.parametrize("name", ["collector.yml", "jaeger.yml"])
def test_a_pipeline_uses_what_is_defined(name: str) -> None:
    """Receivers, processors, exporters and extensions of a pipeline are each configured, and none in vain."""
    config = read(name)
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert {used for pipeline in pipelines for used in pipeline[kind]} == config[kind].keys()
    assert set(config["service"].get("extensions", [])) == config.get("extensions", {}).keys()


def test_spans_find_their_way() -> None:
    """Services reach the collector, and the collector the port on which Jaeger listens."""
    assert all(together(service, "collector") for service in SERVICES)
    host, port = read("collector.yml")["exporters"]["otlp"]["endpoint"].split(":")
    assert together("collector", host)
    assert read("jaeger.yml")["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] == f"0.0.0.0:{port}"


def test_logs_find_their_way() -> None:
    """The shipper reads the engine's files where they are mounted, and sends them to where Loki listens."""
    text = (CONFIG / "shipper.alloy").read_text()
    assert "/var/lib/docker/containers:/containers:ro" in CONTAINERS["shipper"]["volumes"]
    assert '__path__ = "/containers/*/*-json.log"' in text
    assert f'url = "http://loki:{read("loki.yml")["server"]["http_listen_port"]}/loki/api/v1/push"' in text
    assert together("shipper", "loki")
    defined = set(re.findall(r"^([\w.]+) \"(\w+)\" \{", text, re.MULTILINE))
    used = set(re.findall(r"(local\.file_match|loki\.\w+)\.(\w+)\.(?:targets|receiver)", text))
    assert used <= defined
