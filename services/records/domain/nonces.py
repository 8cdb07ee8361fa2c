"""Proof that a form was looked at for a while before it was sent, and that it is sent once."""

import hmac
import secrets
from hashlib import sha256

SECONDS = 12 * 3600
"""For so long a form that was looked at may be sent."""


def issue(secret: str, now: float) -> str:
    """A new nonce."""
    text = f"{int(now * 1000)}.{secrets.token_urlsafe(12)}"
    return f"{text}.{_seal(secret, text)}"


def age(secret: str, nonce: str, now: float) -> float | None:
    """For how many seconds a nonce has been there; nothing where it is none of ours."""
    text, _, seal = nonce.rpartition(".")
    begun = text.partition(".")[0]
    known = hmac.compare_digest(_seal(secret, text).encode(), seal.encode("utf-8", "replace"))
    return now - int(begun) / 1000 if known and begun.isascii() and begun.isdigit() else None


def _seal(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode("utf-8", "replace"), sha256).hexdigest()[:32]
