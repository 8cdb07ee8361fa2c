"""The end of a gateway, of which clients are told before it comes."""

import asyncio
import socket

import uvicorn

from gateway.server import Door, EdgeProtocol

STEP_SECONDS = 0.02


class Server(uvicorn.Server):
    """Uvicorn with the gateway's protocol.

    A kept connection that is closed just when its client sends on it leaves that client without an answer. So whoever
    asks within `Patience.farewell` is answered, with `Connection: close`; then what still idles is closed.
    """

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no connections any more, waits a little for those that are there to end, and ends."""
        self._door.leaving = True
        for server in self.servers:
            server.close()
        for connection in self._kept():
            connection.leave()
        for _ in range(int(self._door.patience.farewell / STEP_SECONDS)):
            if self.force_exit or not self._kept():
                break
            await asyncio.sleep(STEP_SECONDS)
        await super().shutdown(sockets)

    def _kept(self) -> list[EdgeProtocol]:
        return [it for it in self.server_state.connections if isinstance(it, EdgeProtocol)]
