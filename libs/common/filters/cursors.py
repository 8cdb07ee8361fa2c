"""Opaque keyset cursors.

A cursor is the sort key of the last row, as JSON that PostgreSQL wrote, behind a digest of it and of what it
belongs to (the sort, the filter). It is no secret and grants nothing, its values are only ever bound parameters;
the digest tells a cursor of another list, or a damaged one, from a good one.
"""

import base64
import binascii
from decimal import Decimal
from hashlib import blake2b

import msgspec

from libs.common.errors import Fault, Invalid

_DIGEST = 8
_MAX_LENGTH = 100_000
_JSON = msgspec.json.Decoder(list[object], float_hook=Decimal)


def encode_cursor(key: str, binding: str) -> str:
    """The cursor of a sort key (a JSON array), bound to a list."""
    payload = key.encode()
    return base64.urlsafe_b64encode(_digest(payload, binding) + payload).decode().rstrip("=")


def decode_cursor(cursor: str, binding: str) -> list[object]:
    """The values of the sort key; raises Invalid (`invalid_cursor`) for anything but a cursor of this list."""
    if len(cursor) > _MAX_LENGTH:
        raise invalid_cursor()
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise invalid_cursor() from None
    if raw[:_DIGEST] != _digest(raw[_DIGEST:], binding):
        raise invalid_cursor()
    try:
        return _JSON.decode(raw[_DIGEST:])
    except msgspec.DecodeError:
        raise invalid_cursor() from None


def invalid_cursor() -> Invalid:
    """The error for a cursor that is not one of this list."""
    return Invalid(errors=[Fault("/cursor", "invalid_cursor", "The cursor does not belong to this list.")])


def _digest(payload: bytes, binding: str) -> bytes:
    return blake2b(payload, digest_size=_DIGEST, key=blake2b(binding.encode()).digest()).digest()
