from prometheus_client.openmetrics.parser import text_string_to_metric_families

from libs.common.metrics import Metrics


def test_requests_are_counted_by_route() -> None:
    """Count and duration stand under method, route and status, and the build under its name."""
    metrics = Metrics("records", "1.2.3")
    for _ in range(3):
        metrics.observe("GET", "/a/{id}", 200, 0.004)
    metrics.observe("GET", "/a/{id}", 500, 3.0)
    text = metrics.render()[0].decode()
    assert 'http_requests_total{method="GET",route="/a/{id}",status="200"} 3.0' in text
    assert 'http_requests_total{method="GET",route="/a/{id}",status="500"} 1.0' in text
    assert 'http_request_duration_seconds_bucket{le="0.005",method="GET",route="/a/{id}"} 3.0' in text
    assert 'millrace_build_info{service="records",version="1.2.3"} 1.0' in text


def test_two_processes_in_one_do_not_share() -> None:
    """Each has a registry of its own."""
    one, other = Metrics("a", "1"), Metrics("b", "1")
    one.observe("GET", "/", 200, 0.1)
    assert b"http_requests_total{" not in other.render()[0]


def test_a_bucket_leads_to_a_trace() -> None:
    """In OpenMetrics the newest traced request of a bucket stands as its exemplar; the older format has none."""
    metrics = Metrics("records", "1")
    trace = "0af7651916cd43dd8448eb211c80319c"
    metrics.observe("GET", "/a", 200, 0.004, "1" * 32)
    metrics.observe("GET", "/a", 500, 0.004, trace)
    metrics.observe("GET", "/a", 200, 0.004)
    text, content_type = metrics.render("application/openmetrics-text;version=1.0.0,text/plain;q=0.1")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    samples = families["http_request_duration_seconds"].samples
    exemplars = {sample.labels["le"]: sample.exemplar for sample in samples if sample.exemplar}
    assert {bound: found.labels for bound, found in exemplars.items()} == {"0.005": {"trace_id": trace}}
    assert content_type.startswith("application/openmetrics-text")
    plain, content_type = metrics.render("text/plain")
    assert trace not in plain.decode()
    assert content_type.startswith("text/plain")
