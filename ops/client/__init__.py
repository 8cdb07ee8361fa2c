"""The platform as a client sees it: the public API and the socket, for the demo, the benchmark and the tests."""

from ops.client.api import Api, ApiError
from ops.client.live import Live, NotHeard

__all__ = ["Api", "ApiError", "Live", "NotHeard"]
