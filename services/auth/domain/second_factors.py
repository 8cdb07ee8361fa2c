"""The second factor: time-based one-time passwords (RFC 6238), and recovery codes for when the device is lost."""

import base64
import io
import re
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
import pyotp
import segno
from pyotp.utils import strings_equal

from libs.common.errors import Fault, Invalid, Unauthenticated
from services.auth.domain import opaque

STEP_SECONDS = 30
SKEW_STEPS = 1
RECOVERY_CODES = 10
CHALLENGE_LIFE = timedelta(minutes=5)
MAX_CODE = 64

Method = Literal["totp", "recovery_code"]

_CHALLENGE_PREFIX = "mmt_"
_TOTP_CODE = re.compile(r"\d{6}")
_GROUP = 4


class WrongCode(Exception):
    """A code was wrong or used before; who asked for it says so in its own way."""


class Enrolment(msgspec.Struct, frozen=True):
    """What a person puts into an authenticator: typed, followed, or photographed."""

    secret: str
    otpauth_uri: str
    qr_svg: str


class TotpSecret(msgspec.Struct, frozen=True):
    """A secret as it is kept, encrypted; it counts when it was confirmed by a first code."""

    secret: bytes
    confirmed_at: datetime | None
    last_step: int


def new_secret() -> str:
    """A secret of 160 bits, in base32."""
    return pyotp.random_base32()


def enrolment(secret: str, account: str, organization: str) -> Enrolment:
    """A secret in the three forms in which authenticators take it."""
    uri = pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=organization)
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", scale=4, xmldecl=False)
    return Enrolment(secret, uri, picture.getvalue().decode().strip())


def is_totp(code: str) -> bool:
    """Whether a code has the form of a time-based one, and not that of a recovery code."""
    return _TOTP_CODE.fullmatch(compact(code)) is not None


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to: the present one or one beside it; None where it is wrong."""
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS
    given = compact(code)
    steps = [present + skew for skew in range(-SKEW_STEPS, SKEW_STEPS + 1)]
    return next((step for step in steps if strings_equal(totp.generate_otp(step), given)), None)


def compact(code: str) -> str:
    """A code as it is compared: people may write it in groups and in capitals."""
    return re.sub(r"[\s-]", "", code).lower()


def new_recovery_codes() -> Iterator[str]:
    """Ten codes of 80 bits, in groups of four."""
    for _ in range(RECOVERY_CODES):
        text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
        yield "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def make_challenge(tenant_id: UUID) -> tuple[str, bytes]:
    """A token that stands for a right password, and the hash that is kept of it."""
    return opaque.make(_CHALLENGE_PREFIX, tenant_id)


def read_challenge(token: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of such a token; what is none is refused."""
    found = opaque.read(_CHALLENGE_PREFIX, token)
    if found is None:
        raise bad_challenge()
    return found


def bad_challenge() -> Unauthenticated:
    """The one answer to a token that is not good, whatever is wrong with it."""
    return Unauthenticated("The sign-in has expired; begin it again", code="invalid-mfa-token")


def wrong_code() -> Unauthenticated:
    """The answer to a code that is wrong, or was used before, in a sign-in."""
    return Unauthenticated("The code is wrong or was used before", code="invalid-code")


def wrong_code_field() -> Invalid:
    """The same, where one who is signed in gives a code."""
    return Invalid(errors=[Fault("/code", "wrong", "The code is wrong or was used before")])
