"""Alerts and dashboards ask for metrics that there are, and each alert says what to do."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry

from deploy import dashboards
from deploy.settings import SERVICES
from gateway.main import Gateway
from gateway.settings import Settings as GatewaySettings
from libs.common.app import Platform
from libs.common.sealing import Seal
from libs.common.settings import DatabaseSettings
from services.auth.usecases.audit import Auditor
from services.auth.usecases.older_keys import OlderKeys
from services.realtime.usecases.metrics import LiveMetrics
from tests.deploy.charts import of_kind
from tests.faults.test_alerts import FIRED

ROOT = Path(__file__).parents[2]
OBSERVABILITY = ROOT / "deploy" / "observability"
RUNBOOKS = ROOT / "docs" / "runbooks"
AWAY = {"redis_url": "redis://127.0.0.1:9/0", "nats_url": "nats://127.0.0.1:9"}
# Told by Prometheus itself, by kube-state-metrics and by the exporters of the servers.
FOREIGN = {
    "up",
    "kube_cronjob_created",
    "kube_cronjob_status_last_successful_time",
    "kube_statefulset_status_replicas_ready",
    "pg_up",
    "pg_stat_activity_count",
    "pg_settings_max_connections",
    "redis_up",
    "gnatsd_healthz_status",
}

Rule = dict[str, Any]


def rules() -> list[Rule]:
    """Every rule of every file."""
    files = [yaml.safe_load(path.read_text()) for path in sorted((OBSERVABILITY / "rules").glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
PANELS = {
    f"{name}: {panel.title}: {legend}": expression
    for name, panels in dashboards.DASHBOARDS.items()
    for panel in panels
    for legend, expression in panel.queries.items()
}


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The names of all series that the processes tell."""
    settings = DatabaseSettings(port=1, database_url="postgresql://127.0.0.1:9/none", **AWAY)
    platform = Platform("records", settings)
    platform.metrics.observe("GET", "/", 200, 0.01)
    urls = {f"{service}_url": "http://127.0.0.1:9" for service in SERVICES if service != "gateway"}
    realtime = CollectorRegistry()
    LiveMetrics(realtime)
    secret = "a secret of the tests"
    older = OlderKeys(platform.database, secret, {})
    Auditor(platform.database, Seal(secret, "audit log"), older, realtime)
    registries = (platform.metrics.registry, Gateway(GatewaySettings(**urls, **AWAY)).metrics.registry, realtime)
    families = [family for registry in registries for family in registry.collect()]
    counted = {f"{family.name}_total" for family in families if family.type == "counter"}
    return counted | {name for family in families for name in (family.name, *(s.name for s in family.samples))}


def asked(expression: str) -> set[str]:
    """The metrics that an expression names; raises when it is no PromQL."""
    return series(promql_parser.parse(expression.replace("$__rate_interval", "5m")))


def series(node: Any) -> set[str]:
    """The metrics below a node of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        return {node.name}
    parts = [getattr(node, name, None) for name in ("expr", "lhs", "rhs", "param", "vector_selector")]
    children = [part for part in parts if part is not None] + list(getattr(node, "args", []))
    return {name for child in children for name in series(child)}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule.get("alert") or rule.get("record")))
def test_a_rule_asks_for_metrics_that_there_are(rule: Rule, known: set[str]) -> None:
    """Its expression is PromQL, and each metric in it is told by a process, an exporter or another rule."""
    names = asked(rule["expr"])
    assert names
    assert names - known - RECORDED - FOREIGN == set()


def test_scaling_asks_for_metrics_that_there_are(known: set[str]) -> None:
    """What pods are scaled by beside their CPU is told by them, and served to Kubernetes by the adapter."""
    scalers = of_kind("production", "HorizontalPodAutoscaler").values()
    metrics = [metric for scaler in scalers for metric in scaler["spec"]["metrics"]]
    of_pods = {metric["pods"]["metric"]["name"] for metric in metrics if metric["type"] == "Pods"}
    assert of_pods
    assert of_pods - known == set()
    adapter = yaml.safe_load((OBSERVABILITY / "adapter.yml").read_text())["rules"]
    assert adapter["default"] is False
    served = {rule["name"]["as"]: rule for rule in adapter["custom"]}
    assert served.keys() == of_pods
    for name, rule in served.items():
        query = rule["metricsQuery"].replace("<<.Series>>", name).replace("<<.LabelMatchers>>", 'namespace="crm"')
        assert asked(query.replace("<<.GroupBy>>", "pod")) == {name}
        assert rule["seriesQuery"] == f'{name}{{namespace!="",pod!=""}}'


@pytest.mark.parametrize("panel", sorted(PANELS))
def test_a_panel_asks_for_metrics_that_there_are(panel: str, known: set[str]) -> None:
    """No panel of a dashboard stays empty for a misspelt name."""
    names = asked(PANELS[panel])
    assert names
    assert names - known - RECORDED == set()


def test_every_alert_has_a_page_that_says_what_to_do() -> None:
    """A runbook per alert, and no runbook without one."""
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == ALERTS.keys()
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        page = (RUNBOOKS / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert "\n## Look\n" in page
        assert "\n## Do\n" in page


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """`./taskw test:alerts` runs them in promtool; here it is only made sure that none was forgotten."""
    cases = yaml.safe_load((OBSERVABILITY / "rules.test.yml").read_text())
    tested = [check for case in cases["tests"] for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in tested if check.get("exp_alerts")} == ALERTS.keys()
    assert {check["alertname"] for check in tested if not check.get("exp_alerts")} == ALERTS.keys()
    assert {Path(path).name for path in cases["rule_files"]} == {p.name for p in (OBSERVABILITY / "rules").iterdir()}


def test_every_alert_is_fired_by_a_platform_that_is_broken() -> None:
    """It is among those of a test that watches a real platform, and the table for readers has it."""
    assert ALERTS.keys() == FIRED
    page = (ROOT / "docs" / "artifacts.md").read_text().partition("| alert | how it is fired |\n")[2]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    assert sorted(name.strip() for cell in cells for name in cell.split(",")) == sorted(ALERTS)


def test_what_is_critical_is_known_within_a_minute() -> None:
    """The next scrape, the next look at the rules and how long it has to last are no minute together."""
    monitor = of_kind("production", "ServiceMonitor")["crm-gateway"]["spec"]["endpoints"][0]["interval"]
    files = [yaml.safe_load((OBSERVABILITY / "rules" / f"{name}.yml").read_text()) for name in ("platform", "servers")]
    late = {
        rule["alert"]
        for file in files
        for group in file["groups"]
        for rule in group["rules"]
        if rule.get("labels", {}).get("severity") == "critical"
        and seconds(monitor) + seconds(group["interval"]) + seconds(rule["for"]) + _least_age(rule["expr"]) > 60
    }
    assert late == set()


def seconds(duration: str) -> int:
    """A duration of Prometheus."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


def _least_age(expression: str) -> int:
    """What a rule about a time has to have waited for already."""
    return sum(map(int, re.findall(r"_seconds\) > (\d+)", expression)))


@pytest.mark.parametrize("path", sorted(dashboards.outputs()), ids=lambda path: path.name)
def test_the_dashboards_are_fresh(path: Path) -> None:
    """`./taskw settings` would change nothing."""
    assert path.read_text() == dashboards.outputs()[path], "run ./taskw settings"


@pytest.mark.parametrize("path", sorted(dashboards.outputs()), ids=lambda path: path.name)
def test_grafana_knows_every_field_of_a_dashboard(path: Path) -> None:
    """Read and written again by Grafana's own types nothing is lost, and a panel's options lack nothing."""
    given = json.loads(path.read_text())
    read = by_grafana(given)
    assert list(lost(given, read)) == []
    assert [panel["options"] for panel in given["panels"]] == [panel["options"] for panel in read["panels"]]


def test_what_grafana_does_not_know_is_found() -> None:
    """What the test above relies on: a misspelt field of a dashboard, a panel and a query is lost on the way."""
    given = dashboards.dashboard("platform")
    given["refrech"] = given["panels"][0]["fieldConfig"]["defaults"]["unti"] = "s"
    given["panels"][0]["targets"][0]["legendFormt"] = "all"
    read = by_grafana(given)
    paths = ["refrech", "panels.0.targets.0.legendFormt", "panels.0.fieldConfig.defaults.unti"]
    assert sorted(lost(given, read)) == sorted(paths)


def by_grafana(given: dict[str, Any]) -> Any:
    """A dashboard as Grafana's types have understood it."""
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(given)))


def lost(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """The paths at which something that was given is not there any more, or another."""
    if isinstance(given, dict) and isinstance(read, dict):
        parts = [(name, value, read.get(name)) for name, value in given.items()]
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        parts = [(str(place), *pair) for place, pair in enumerate(zip(given, read, strict=True))]
    else:
        if given != read:
            yield path
        return
    for name, value, other in parts:
        yield from lost(value, other, f"{path}.{name}" if path else name)


def test_the_chart_brings_the_same_rules_and_dashboards() -> None:
    """What Prometheus and Grafana load on a cluster is what these tests have read."""
    charted = [
        rule
        for found in of_kind("production", "PrometheusRule").values()
        for group in found["spec"]["groups"]
        for rule in group["rules"]
    ]
    servers = yaml.safe_load((OBSERVABILITY / "rules" / "servers.yml").read_text())["groups"][0]["rules"]
    assert sorted(map(str, _sorted([*charted, *servers]))) == sorted(map(str, _sorted(rules())))
    configs = [found for name, found in of_kind("production", "ConfigMap").items() if "-dashboard-" in name]
    loaded = [json.loads(text) for found in configs for text in found["data"].values()]
    assert sorted(found["uid"] for found in loaded) == sorted(f"millrace-{name}" for name in dashboards.DASHBOARDS)


def _sorted(given: list[Rule]) -> list[str]:
    return [json.dumps(rule, sort_keys=True) for rule in given]
