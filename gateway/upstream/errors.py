"""What can go wrong between the gateway and a service; `retryable` says that the service never saw the request."""


class UpstreamError(Exception):
    """The service did not answer properly."""


class ConnectFailed(UpstreamError):
    """No connection to the service could be made."""


class StaleConnection(UpstreamError):
    """A pooled connection was closed by the service before it answered anything."""


class BrokenResponse(UpstreamError):
    """The service broke off, or what it sent is not HTTP."""


class BrokenOff(BrokenResponse):
    """The connection ended before anything was answered."""


class UpstreamTimeout(UpstreamError):
    """The service did not answer in time."""
