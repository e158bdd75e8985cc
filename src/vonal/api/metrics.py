"""What Prometheus is told (`GET /metrics`). Nothing in it belongs to one tenant."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vonal.domain.call import Call

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60)


class Metrics:
    """One set of measures for each service in the process. `app` connects `call_completed` and `delivery_tried`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "vonal_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "vonal_http_request_seconds", "Time to the answer", ["route"], buckets=SECONDS, registry=self._registry
        )
        self._calls = Counter(
            "vonal_calls", "Calls completed", ["direction", "disposition", "origin"], registry=self._registry
        )
        self._deliveries = Counter(
            "vonal_deliveries", "Webhook attempts by what became of them", ["outcome"], registry=self._registry
        )

    def gauges(self, sources: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        """Measures that are asked for at each scrape: name → (meaning, quick function)."""
        for name, (meaning, source) in sources.items():
            Gauge(f"vonal_{name}", meaning, registry=self._registry).set_function(source)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the address with its parameters' names instead of their values."""
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def call_completed(self, call: Call) -> None:
        """`call.completed` of this call was told."""
        self._calls.labels(call.direction, call.disposition or "failed", call.origin).inc()

    def delivery_tried(self, outcome: str) -> None:
        """A webhook was tried: `delivered`, `open` (to be tried again), `parked`, `dropped` or `disabled`."""
        self._deliveries.labels(outcome).inc()

    def text(self) -> bytes:
        """All measures in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
