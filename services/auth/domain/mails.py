"""What is mailed to people: who it goes to, and in what words. Secrets in mails are good once, and for a while."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from libs.common.errors import Unauthenticated
from services.auth.domain import opaque
from services.auth.domain.organizations import Organization
from services.auth.domain.people import User

Purpose = Literal["invitation", "password_reset", "email_verification"]

LIVES: dict[Purpose, timedelta] = {
    "invitation": timedelta(days=7),
    "password_reset": timedelta(hours=1),
    "email_verification": timedelta(days=3),
}
PAUSE = timedelta(minutes=1)
MAX_ATTEMPTS = 20
MAX_SUBJECT = 200

_PREFIX = "mot_"
_PAGES: dict[Purpose, str] = {
    "invitation": "accept-invitation",
    "password_reset": "reset-password",
    "email_verification": "verify-email",
}


class Mail(msgspec.Struct, frozen=True, omit_defaults=True):
    """A mail of plain text, with what else its head says."""

    to: str
    subject: str
    text: str
    headers: dict[str, str] = {}


class MailedToken(msgspec.Struct, frozen=True):
    """A secret that was mailed: to whom, to which address, for what."""

    purpose: Purpose
    user_id: UUID
    email: str
    created_at: datetime
    expires_at: datetime


def make_token(tenant_id: UUID) -> tuple[str, bytes]:
    """A new secret, and the hash that is kept of it."""
    return opaque.make(_PREFIX, tenant_id)


def read_token(token: str) -> tuple[UUID, bytes]:
    """The tenant and the hash of a secret; what is none is refused."""
    found = opaque.read(_PREFIX, token)
    if found is None:
        raise bad_token()
    return found


def bad_token() -> Unauthenticated:
    """The one answer to a secret that is not good: unknown, used, expired, or for another purpose."""
    return Unauthenticated("The link is not valid, was used, or has expired", code="invalid-mailed-token")


def compose(purpose: Purpose, organization: Organization, user: User, token: str, origin: str) -> Mail:
    """The mail that brings a secret."""
    subject, lead, end = _words(purpose, organization.name)
    link = f"{origin}/{_PAGES[purpose]}?token={token}"
    text = f"Hello {user.name},\n\n{lead}\n\n    {link}\n\n{end}\n"
    return Mail(user.email, subject, text)


def _words(purpose: Purpose, organization: str) -> tuple[str, str, str]:
    if purpose == "invitation":
        return (
            f"You are invited to {organization}",
            f"you are invited to work with {organization}. Choose a password to join:",
            "The invitation holds for seven days. If you do not know the sender, do nothing.",
        )
    if purpose == "password_reset":
        return (
            f"Reset your password for {organization}",
            f"somebody, hopefully you, asked to reset your password for {organization}:",
            "The link holds for one hour and works once. If it was not you, do nothing; your password stays.",
        )
    return (
        f"Confirm your address for {organization}",
        f"please confirm that this is your address at {organization}:",
        "The link holds for three days. If you do not know what this is about, do nothing.",
    )


def notify(organization: Organization, user: User, subject: str, lines: list[str], origin: str, token: str) -> Mail:
    """A mail of what happened, which says how to get no more of them (RFC 2369, and by one click RFC 8058)."""
    link = f"{origin}/api/v1/notifications/unsubscribe?token={token}"
    told = "\n".join(lines)
    text = f"Hello {user.name},\n\n{told}\n\n    {origin}\n\nNo more of these mails: {link}\n"
    heads = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return Mail(user.email, _one_line(f"{organization.name}: {subject}"), text, heads)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_SUBJECT]
