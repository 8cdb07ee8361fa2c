"""Tickets for opening a socket, in Redis: single use, for seconds, kept by their digest alone."""

import hashlib
import secrets
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from libs.common.errors import Unavailable


async def issue(redis: Redis, token: str, seconds: int) -> str:
    """A new ticket that stands for an access token."""
    ticket = secrets.token_urlsafe(32)
    try:
        await redis.set(_key(ticket), token, ex=seconds)
    except (RedisError, OSError) as error:
        raise Unavailable("Tickets cannot be issued now", code="cache-unavailable", retry_after=2) from error
    return ticket


async def redeem(redis: Redis, ticket: str) -> str | None:
    """The access token of a ticket, once; None where it was used, has expired, or never was."""
    try:
        token = cast("bytes | None", await redis.getdel(_key(ticket)))
    except (RedisError, OSError) as error:
        raise Unavailable("Tickets cannot be redeemed now", code="cache-unavailable", retry_after=2) from error
    return token.decode() if token else None


def _key(ticket: str) -> str:
    return f"ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
