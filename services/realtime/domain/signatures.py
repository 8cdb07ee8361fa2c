"""Signatures by Standard Webhooks 1.0 (https://www.standardwebhooks.com): who sent what, and when."""

import base64
import hmac
import secrets
from datetime import datetime, timedelta

import msgspec

PREFIX = "whsec_"
MAX_SECRETS = 5
_BYTES = 32


class Secret(msgspec.Struct, frozen=True):
    """A secret that signs, for ever or until a moment (epoch seconds)."""

    text: str
    until: float | None = None


def make_secret() -> Secret:
    """A new secret."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode())


def valid(given: tuple[Secret, ...], now: datetime) -> tuple[Secret, ...]:
    """Those that still sign."""
    return tuple(one for one in given if one.until is None or one.until > now.timestamp())


def rotated(given: tuple[Secret, ...], new: Secret, now: datetime, overlap: timedelta) -> tuple[Secret, ...]:
    """The new one first; those before it sign on for a while."""
    end = (now + overlap).timestamp()
    old = [Secret(one.text, min(one.until or end, end)) for one in valid(given, now)]
    return (new, *valid(tuple(old), now)[: MAX_SECRETS - 1])


def headers(message_id: str, at: datetime, body: bytes, given: tuple[Secret, ...]) -> dict[str, str]:
    """The headers that identify, date and sign a message; a signature for each secret."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (f"v1,{_signature(one, signed)}" for one in given)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": " ".join(signatures)}


def _signature(secret: Secret, signed: bytes) -> str:
    key = base64.b64decode(secret.text.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
