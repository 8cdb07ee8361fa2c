"""The HTTP server of a service: uvicorn, which may listen on a Unix socket besides its port."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn


class Server(uvicorn.Server):
    """A uvicorn server that may listen on a Unix socket too, and says farewell to its connections before it ends."""

    def __init__(
        self, config: uvicorn.Config, farewell: Callable[[], None] | None = None, unix_socket: str | None = None
    ) -> None:
        super().__init__(config)
        self._farewell = farewell
        self._unix_socket = unix_socket

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins listening."""
        await super().startup(sockets)
        if self._unix_socket is not None:
            loop, backlog = asyncio.get_running_loop(), self.config.backlog
            self.servers.append(await loop.create_unix_server(self._protocol, self._unix_socket, backlog=backlog))

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the server."""
        if self._farewell is not None:
            self._farewell()
        await super().shutdown(sockets)
