from libs.common.metrics import Metrics


def test_requests_are_counted_by_route() -> None:
    """Count and duration stand under method, route and status, and the build under its name."""
    metrics = Metrics("records", "1.2.3")
    for _ in range(3):
        metrics.observe("GET", "/a/{id}", 200, 0.004)
    metrics.observe("GET", "/a/{id}", 500, 3.0)
    text = metrics.render().decode()
    assert 'http_requests_total{method="GET",route="/a/{id}",status="200"} 3.0' in text
    assert 'http_requests_total{method="GET",route="/a/{id}",status="500"} 1.0' in text
    assert 'http_request_duration_seconds_bucket{le="0.005",method="GET",route="/a/{id}"} 3.0' in text
    assert 'millrace_build_info{service="records",version="1.2.3"} 1.0' in text


def test_two_processes_in_one_do_not_share() -> None:
    """Each has a registry of its own."""
    one, other = Metrics("a", "1"), Metrics("b", "1")
    one.observe("GET", "/", 200, 0.1)
    assert b"http_requests_total{" not in other.render()
