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

    async def __call__(self, exchange: Exchange) -> None:
        """Normalises the path, as services will see it, and notes its route."""
        if len(exchange.query) > paths.MAX_TARGET:
            raise Malformed("The query is too long.", code="query-too-long")
        path = paths.normalise(exchange.path)
        parts = paths.segments(unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"))
        if parts[:2] == ["api", "v1"]:
            parts = parts[2:]
        elif not path.startswith(_WELL_KNOWN):
            raise NotFound
        exchange.path = path
        exchange.segments = parts
        exchange.route = self._table.find(parts) if parts else None
        if exchange.route is None:
            raise NotFound
        if parts[0] == ".well-known":
            exchange.path = path.removeprefix(b"/api/v1")
