"""What people are told by mail of what happened to their account, so that they notice what was not them."""

from typing import Literal

from services.auth.domain.mails import Mail
from services.auth.domain.organizations import Organization
from services.auth.domain.people import User
from services.auth.domain.sessions import Client

Happening = Literal[
    "password_changed", "second_factor_added", "second_factor_removed", "passkey_added", "passkey_removed",
    "new_sign_in", "impersonated", "organization_deletion",
]  # fmt: skip

_WORDS: dict[Happening, tuple[str, str]] = {
    "password_changed": ("Your password was changed", "the password of your account was changed."),
    "second_factor_added": (
        "A second factor was added",
        "signing in asks for a code of your authenticator from now on.",
    ),
    "second_factor_removed": ("Your second factor was removed", "signing in asks for no second factor any more."),
    "passkey_added": ("A passkey was added", "a passkey can be used to sign in as you from now on."),
    "passkey_removed": ("A passkey was removed", "one of your passkeys can not be used any more."),
    "new_sign_in": ("A new sign-in", "somebody signed in as you from a device or address that was not seen before."),
    "impersonated": (
        "Somebody acts in your name",
        "somebody who manages your organization acts in your name for a while.",
    ),
    "organization_deletion": ("Your organization will be deleted", "the deletion of your organization was asked for."),
}


def compose(
    happening: Happening, organization: Organization, user: User, client: Client | None = None, more: str | None = None
) -> Mail:
    """The mail that tells a user what happened, and from where."""
    subject, lead = _WORDS[happening]
    facts = [more] if more else []
    if client is not None:
        facts += [f"Address: {client.address or 'unknown'}", f"Device: {client.user_agent or 'unknown'}"]
    told = "".join(f"\n    {fact}" for fact in facts)
    end = "If that was not you, change your password and tell those who manage your organization."
    text = f"Hello {user.name},\n\n{lead}\n{told}\n\n{end}\n"
    return Mail(user.email, f"{subject} – {organization.name}", text)
