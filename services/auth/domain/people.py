"""What a person's account may look like."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from zxcvbn import zxcvbn

from libs.common.errors import Fault

UserStatus = Literal["active", "invited", "deactivated"]

MAX_EMAIL = 254
MAX_NAME = 200
MIN_PASSWORD = 10
MAX_PASSWORD = 128
MIN_SCORE = 3

# What makes the estimate slow is length, and long before this it does not matter any more.
_JUDGED = 40
_ABOUT = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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
    email_verified_at: datetime | None
    roles: tuple[UUID, ...]

    @property
    def version(self) -> int:
        """A number that is another after each change: microseconds of the last one."""
        return (self.updated_at - _EPOCH) // timedelta(microseconds=1)


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


def check_password(
    password: str, about: Iterable[str] = (), pointer: str = "/password", least: int | None = None
) -> list[Fault]:
    """Faults of a new password: its length, and how soon it is guessed by one who knows what it should not be about.

    Strength is estimated by zxcvbn (Wheeler, USENIX Security 2016); 3 of 4 stands for more than 10^8 guesses.
    """
    least = max(MIN_PASSWORD, least or 0)
    if len(password) < least:
        return [Fault(pointer, "too_short", f"A password has at least {least} characters")]
    if len(password) > MAX_PASSWORD:
        return [Fault(pointer, "too_long", f"A password has at most {MAX_PASSWORD} characters")]
    found = zxcvbn(password[:_JUDGED], user_inputs=[word for it in about for word in _words(it)])
    if found["score"] < MIN_SCORE:
        hint = found["feedback"]["warning"] or "Add another word or two. Uncommon words are better."
        return [Fault(pointer, "too_weak", f"The password is too easy to guess. {hint}")]
    return []


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^\w]+", text.lower()) if len(word) > 2][:_ABOUT]


def check_locale(locale: str) -> list[Fault]:
    """Faults of a language tag (RFC 5646)."""
    if _LOCALE.fullmatch(locale):
        return []
    return [Fault("/locale", "invalid_locale", "A language tag such as 'en' or 'de-AT' is expected")]
