"""What a person's account may look like."""

import re
import unicodedata
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.errors import Fault

UserStatus = Literal["active", "invited", "deactivated"]

MAX_EMAIL = 254
MAX_NAME = 200
MIN_PASSWORD = 10
MAX_PASSWORD = 128

_EMAIL = re.compile(
    r"[^\s@\"(),:;<>\[\\\]\x00-\x1f\x7f]{1,64}@(?:[^\W_](?:[^\W_]|-){0,62}\.)+[^\W\d_](?:[^\W_]|-){0,61}[^\W_]"
)
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")


class User(msgspec.Struct, frozen=True):
    """A user with the ids of its roles, sorted."""

    id: UUID
    email: str
    name: str
    locale: str
    status: UserStatus
    created_at: datetime
    updated_at: datetime
    roles: tuple[UUID, ...]


def normalize_email(email: str) -> str:
    """The one form of an address: addresses that differ in case alone are the same person."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def check_email(email: str) -> list[Fault]:
    """Faults of a normalized address."""
    if len(email) <= MAX_EMAIL and _EMAIL.fullmatch(email) and ".." not in email:
        return []
    return [Fault("/email", "invalid_email", "An email address such as 'ada@example.com' is expected")]


def check_name(name: str, pointer: str = "/name") -> list[Fault]:
    """Faults of the name of a person, an organization or a role."""
    if not name.strip() or not all(character.isprintable() for character in name):
        return [Fault(pointer, "invalid_name", "A name has visible characters, and no control characters")]
    if len(name) > MAX_NAME:
        return [Fault(pointer, "too_long", f"A name has at most {MAX_NAME} characters")]
    return []


def check_password(password: str) -> list[Fault]:
    """Faults of a new password."""
    if len(password) < MIN_PASSWORD:
        return [Fault("/password", "too_short", f"A password has at least {MIN_PASSWORD} characters")]
    if len(password) > MAX_PASSWORD:
        return [Fault("/password", "too_long", f"A password has at most {MAX_PASSWORD} characters")]
    return []


def check_locale(locale: str) -> list[Fault]:
    """Faults of a language tag (RFC 5646)."""
    if _LOCALE.fullmatch(locale):
        return []
    return [Fault("/locale", "invalid_locale", "A language tag such as 'en' or 'de-AT' is expected")]
