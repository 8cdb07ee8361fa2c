"""Step 4: the path made plain, and the row of the route table that it falls under."""

from urllib.parse import unquote

from gateway import paths
from gateway.exchange import Exchange
from gateway.route_table import RouteTable
from libs.common.errors import Malformed, NotFound

_WELL_KNOWN = b"/.well-known/"


class Routing:
    """Finds the route; a path that no service answers is `NotFound`."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table

    def __call__(self, exchange: Exchange) -> None:
        """Normalises the path, as services will see it, and notes its route."""
        if len(exchange.query) > paths.MAX_TARGET:
            raise Malformed("The query is too long.", code="query-too-long")
        path = exchange.path
        if paths.is_canonical(path):
            parts = path[8:].decode("ascii").split("/")
        else:
            path = exchange.path = paths.normalise(path)
            parts = _segments(path)
        exchange.route = self._table.find(parts) if parts else None
        if exchange.route is None:
            raise NotFound
        if parts[0] == ".well-known":
            exchange.path = path.removeprefix(b"/api/v1")


def _segments(path: bytes) -> list[str]:
    """The segments below `/api/v1`."""
    parts = paths.segments(unquote(path.decode("ascii")))
    if parts[:2] == ["api", "v1"]:
        return parts[2:]
    if path.startswith(_WELL_KNOWN):
        return parts
    raise NotFound
