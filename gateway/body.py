"""The body of a request as the client sends it: bounded in size and in time."""

import asyncio
from contextlib import suppress

from gateway.exchange import Exchange
from libs.common.errors import AppError, Malformed, TooLarge

CLIENT_SECONDS = 60.0
DROP_FROM, DROP_TO = 128 * 1024, 32 * 1024 * 1024
DROP_SECONDS = 10.0


class ClientGone(Exception):
    """The client has closed its connection; nobody waits for an answer."""


async def receive(exchange: Exchange, limit: int) -> tuple[bytes, bool]:
    """The next piece of the body, and whether more follows."""
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            message = await exchange.channel.receive()
    except TimeoutError:
        raise Malformed("The body did not arrive in time.", code="request-timeout") from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    data: bytes = message["body"]
    exchange.received += len(data)
    if exchange.received > limit:
        raise too_large(limit)
    return data, message["more_body"]


async def read_small(exchange: Exchange, limit: int) -> bytes:
    """The whole body, kept for the forwarder."""
    pieces, more = [], exchange.has_body
    while more:
        piece, more = await receive(exchange, limit)
        pieces.append(piece)
    exchange.buffered = b"".join(pieces)
    return exchange.buffered


async def drop_rest(exchange: Exchange) -> None:
    """Reads on and drops what is left of a large body, bounded in size and time, so that its refusal can be read.

    A proxy that is answered while it still sends ends the client's connection soon after (Go's HTTP server in half a
    second), and a client that goes on sending then loses the answer with the connection.
    """
    client, dropped = exchange.client, 0
    length = int(exchange.known.get(b"content-length", DROP_FROM + 1))
    if not DROP_FROM < length <= DROP_TO or client.waiting_for_100_continue:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(DROP_SECONDS):
            while client.more_body and dropped < DROP_TO:
                message = await exchange.channel.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                dropped += len(message["body"])


def too_large(limit: int) -> AppError:
    """The refusal of a body over the bound."""
    return TooLarge(f"The body may have {limit} bytes at most.")
