"""Passkeys (Web Authentication Level 3): credentials that live in an authenticator and are good at one host only.

The authenticator verifies its user, so that signing in by one is signing in by two factors.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import webauthn
from webauthn.helpers.exceptions import InvalidJSONStructure, WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from libs.common.errors import Fault, Invalid, Unauthenticated
from services.auth.domain import opaque
from services.auth.domain.people import User

LIFE = timedelta(minutes=5)
MAX_PASSKEYS = 50

_PREFIX = "mpt_"


class Passkey(msgspec.Struct, frozen=True):
    """A credential; `synced` when the authenticator keeps copies on other devices."""

    id: UUID
    user_id: UUID
    name: str
    rp_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    synced: bool
    created_at: datetime
    last_used_at: datetime | None


class Made(msgspec.Struct, frozen=True):
    """What of a new credential is kept."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    synced: bool


class Place(msgspec.Struct, frozen=True):
    """Where a browser is: the origin of its page, and the host that credentials are bound to there."""

    origin: str
    rp_id: str


def place(origin: str) -> Place:
    """The place of an origin."""
    return Place(origin, urlsplit(origin).hostname or "")


def make_token(tenant_id: UUID) -> tuple[str, bytes]:
    """A token that stands for a challenge, and the hash that is kept of it."""
    return opaque.make(_PREFIX, tenant_id)


def read_token(token: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of such a token; what is none is refused."""
    found = opaque.read(_PREFIX, token)
    if found is None:
        raise refused()
    return found


def registration_options(at: Place, organization: str, user: User, present: Iterable[Passkey]) -> tuple[bytes, bytes]:
    """The challenge, and what a browser gives to `navigator.credentials.create()` as JSON."""
    options = webauthn.generate_registration_options(
        rp_id=at.rp_id,
        rp_name=organization,
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.name,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=it.credential_id) for it in present],
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    return options.challenge, webauthn.options_to_json(options).encode()


def sign_in_options(at: Place) -> tuple[bytes, bytes]:
    """The challenge, and what a browser gives to `navigator.credentials.get()`. It names no credential of anybody."""
    options = webauthn.generate_authentication_options(
        rp_id=at.rp_id, user_verification=UserVerificationRequirement.REQUIRED
    )
    return options.challenge, webauthn.options_to_json(options).encode()


def check_registration(at: Place, challenge: bytes, credential: dict[str, Any]) -> Made:
    """A credential that signed the challenge at that place."""
    try:
        found = webauthn.verify_registration_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=at.rp_id, expected_origin=at.origin,
            require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise Invalid(errors=[Fault("/credential", "invalid", "The authenticator's answer is not good")]) from None
    synced = found.credential_device_type is CredentialDeviceType.MULTI_DEVICE
    return Made(found.credential_id, found.credential_public_key, found.sign_count, synced)


def credential_id_of(credential: dict[str, Any]) -> bytes:
    """Which credential answers."""
    try:
        return webauthn.helpers.parse_authentication_credential_json(credential).raw_id
    except (InvalidJSONStructure, WebAuthnException, ValueError, KeyError, TypeError):
        raise refused() from None


def check_sign_in(at: Place, challenge: bytes, credential: dict[str, Any], passkey: Passkey) -> int:
    """The counter after a signature that is good, at the host that the passkey was made for."""
    if at.rp_id != passkey.rp_id:
        raise refused()
    try:
        found = webauthn.verify_authentication_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=passkey.rp_id,
            expected_origin=at.origin, credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, KeyError, TypeError):
        raise refused() from None
    return found.new_sign_count


def refused() -> Unauthenticated:
    """The one answer to a passkey that does not sign in, whatever is wrong."""
    return Unauthenticated("The passkey is not known here, or its answer is not good", code="invalid-passkey")
