"""`task settings`: writes the Grafana dashboards, which are code; a test fails when they are stale."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "observability" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT = 12, 8


@dataclass(frozen=True)
class Panel:
    """One graph: a title, its unit, and expressions by legend."""

    title: str
    unit: str
    queries: dict[str, str]

    def model(self, number: int) -> dict[str, Any]:
        """As Grafana keeps it."""
        targets = [
            {"refId": chr(65 + index), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
            for index, (legend, expression) in enumerate(self.queries.items())
        ]
        place = {"h": _HEIGHT, "w": _WIDTH, "x": number % 2 * _WIDTH, "y": number // 2 * _HEIGHT}
        defaults = {"unit": self.unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
        legend = {"showLegend": True, "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
        return {
            "id": number + 1,
            "type": "timeseries",
            "title": self.title,
            "gridPos": place,
            "datasource": SOURCE,
            "targets": targets,
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        }


def _rate(selector: str, by: str = "service") -> str:
    return f"sum by ({by}) (rate(http_requests_total{{{selector}}}[$__rate_interval]))"


def _events(metric: str, by: str = "service") -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _quantile(share: str, selector: str = "", by: str = "service") -> str:
    # How long a socket was open is not how long anybody waited.
    requests = ",".join(filter(None, (selector, 'method!="WS"')))
    buckets = f"rate(http_request_duration_seconds_bucket{{{requests}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by ({by}, le) ({buckets}))"


GATEWAY = 'service="gateway"'
ERRORS = 'status=~"5.."'
# Where nothing has failed yet there is no series of failures.
_FAILED = f"(sum(increase(http_requests_total{{{GATEWAY},{ERRORS}}}[30d])) or vector(0))"
_ALL = f"sum(increase(http_requests_total{{{GATEWAY}}}[30d]))"
_TIMED = f'{GATEWAY},method!="WS"'
_IN_TIME = f'sum(increase(http_request_duration_seconds_bucket{{{_TIMED},le="0.2"}}[30d]))'
_ANSWERED = f"sum(increase(http_request_duration_seconds_count{{{_TIMED}}}[30d]))"
_SLOWEST = f"topk(10, {_quantile('0.95', '', 'service, route')})"
_STORED = 'max by (table) (stored_rows{table=~"tenants|users|records|relationships|pipelines|sessions|webhooks"})'

DASHBOARDS = {
    "platform": [
        Panel("Requests", "reqps", {"{{status}}": _rate(GATEWAY, "status")}),
        Panel("Errors by service", "reqps", {"{{service}}": _rate(ERRORS)}),
        Panel("Time of requests", "s", {"p50": _quantile("0.5", GATEWAY), "p95": _quantile("0.95", GATEWAY)}),
        Panel("Share of errors", "percentunit", {"5 minutes": "gateway:errors:ratio_rate5m or vector(0)"}),
        Panel("Share slower than 200 ms", "percentunit", {"5 minutes": "gateway:slow:ratio_rate5m"}),
        Panel(
            "Budgets left of 30 days",
            "percentunit",
            {
                "errors": f"1 - ({_FAILED} / {_ALL}) / 0.001",
                "slow requests": f"1 - (1 - {_IN_TIME} / {_ANSWERED}) / 0.05",
            },
        ),
        Panel("Errors by route", "reqps", {"{{method}} {{route}}": _rate(f"{GATEWAY},{ERRORS}", "method, route")}),
        Panel("Over a limit", "reqps", {"{{route}}": _rate(f'{GATEWAY},status="429"', "route")}),
        Panel("Sign-ins and what else is audited", "ops", {"{{action}}": _events("audited_total", "action")}),
        Panel("Stored", "short", {"{{table}}": _STORED}),
        Panel("Instances", "short", {"{{service}} {{version}}": "count by (service, version) (millrace_build_info)"}),
    ],
    "services": [
        Panel("Requests", "reqps", {"{{service}}": _rate("")}),
        Panel("p95", "s", {"{{service}}": _quantile("0.95")}),
        Panel("In flight", "short", {"{{service}}": "sum by (service) (http_requests_in_flight)"}),
        Panel("Slowest routes (p95)", "s", {"{{service}} {{route}}": _SLOWEST}),
        Panel("CPU", "short", {"{{service}}": _events("process_cpu_seconds_total")}),
        Panel("Memory", "bytes", {"{{service}}": "max by (service) (process_resident_memory_bytes)"}),
        Panel("Open files", "percentunit", {"{{service}}": "max by (service) (process_open_fds / process_max_fds)"}),
        Panel(
            "Connections to PostgreSQL in use",
            "percentunit",
            {"{{service}} {{pool}}": "max by (service, pool) (database_connections_in_use / database_connections_max)"},
        ),
        Panel(
            "Requests that wait for a connection",
            "short",
            {"{{service}} {{pool}}": "sum by (service, pool) (database_connections_waited_for)"},
        ),
        Panel("Events published", "ops", {"{{service}}": _events("outbox_published_total")}),
        Panel("Oldest event not published", "s", {"{{service}}": "max by (service) (outbox_oldest_seconds)"}),
        Panel("Events behind", "short", {"{{consumer}}": "max by (consumer) (events_behind)"}),
    ],
    "realtime": [
        Panel("Sockets", "short", {"{{instance}}": "realtime_sockets"}),
        Panel("Subscriptions", "short", {"{{instance}}": "realtime_subscriptions"}),
        Panel("Tenants listened to", "short", {"{{instance}}": "realtime_tenants"}),
        Panel("Deliveries", "ops", {"{{instance}}": _events("realtime_deliveries_total", "instance")}),
        Panel("Read back for subscribers", "ops", {"{{instance}}": _events("realtime_replayed_total", "instance")}),
        Panel(
            "Cut off for reading slowly", "ops", {"{{instance}}": _events("realtime_slow_readers_total", "instance")}
        ),
        Panel("Frames refused", "ops", {"{{code}}": _events("realtime_refused_total", "code")}),
    ],
}


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard as Grafana imports it."""
    variable = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
    return {
        "uid": f"millrace-{name}",
        "title": f"Millrace {name}",
        "tags": ["millrace"],
        "timezone": "utc",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "schemaVersion": 39,
        "templating": {"list": [variable]},
        "panels": [panel.model(number) for number, panel in enumerate(DASHBOARDS[name])],
    }


def outputs() -> dict[Path, str]:
    """Every file and what has to be in it."""
    return {FOLDER / f"{name}.json": json.dumps(dashboard(name), indent=1) + "\n" for name in DASHBOARDS}


def main() -> None:
    """Writes them."""
    for path, text in outputs().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
