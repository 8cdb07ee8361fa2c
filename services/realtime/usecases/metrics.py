from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class LiveMetrics:
    """What the live part counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sockets = Gauge("realtime_sockets", "Open, authenticated sockets", registry=registry)
        self.most_sockets = Gauge("realtime_max_sockets", "Sockets that this process takes", registry=registry)
        self.subscriptions = Gauge("realtime_subscriptions", "Live subscriptions", registry=registry)
        self.hubs = Gauge("realtime_tenants", "Tenants that somebody listens to", registry=registry)
        self.deliveries = Counter("realtime_deliveries_total", "Changes given to sockets", registry=registry)
        self.replayed = Counter("realtime_replayed_total", "Changes read back for a subscriber", registry=registry)
        self.slow = Counter("realtime_slow_readers_total", "Sockets cut off for reading slowly", registry=registry)
        self.refused = Counter("realtime_refused_total", "Frames answered with an error", ("code",), registry=registry)


class WebhookMetrics:
    """What the senders count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter("realtime_webhook_attempts_total", "Messages to webhooks", ("ok",), registry=registry)
        self._seconds = Histogram("realtime_webhook_seconds", "Time of a message to a webhook", registry=registry)

    def sent(self, ok: bool, seconds: float) -> None:
        """Counts an attempt."""
        self._attempts.labels("yes" if ok else "no").inc()
        self._seconds.observe(seconds)
