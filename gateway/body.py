"""The body of a request as the client sends it: bounded in size and in time."""

import asyncio

from gateway.exchange import Exchange
from libs.common.errors import AppError, Malformed, TooLarge

CLIENT_SECONDS = 60.0


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


def too_large(limit: int) -> AppError:
    """The refusal of a body over the bound."""
    return TooLarge(f"The body may have {limit} bytes at most.")
