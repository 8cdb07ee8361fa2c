"""What people are mailed when something happens to their account."""

from datetime import UTC, datetime

import httpx
import pyotp

from services.auth.domain.sessions import Client, Seen
from tests.auth.support import PASSWORD, Mailbox, Tenant

NEW = "quite another staple 42"


async def subjects(mailbox: Mailbox, tenant: Tenant, count: int) -> list[str]:
    """The subjects of the mails to the owner, when there are that many."""
    await mailbox.wait(tenant.email, count)
    return [str(mail["Subject"]).partition(" – ")[0] for mail in mailbox.of(tenant.email)]


async def test_people_are_told_of_changes_to_their_account(tenant: Tenant, mailbox: Mailbox) -> None:
    """Another password, a second factor that comes and goes."""
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await tenant.ask("POST", "/users/me/password", json=body)).status_code in (200, 204)
    secret = (await tenant.ask("POST", "/mfa/totp")).json()["secret"]
    code = pyotp.TOTP(secret).at(datetime.now(UTC))
    codes = (await tenant.ask("POST", "/mfa/totp/confirm", json={"code": code})).json()["recovery_codes"]
    gone = await tenant.ask("DELETE", "/mfa/totp", json={"code": codes[0]})
    assert gone.status_code == 204, gone.text
    assert {
        "Your password was changed",
        "A second factor was added",
        "Your second factor was removed",
    } <= set(await subjects(mailbox, tenant, 4))


async def test_a_sign_in_from_elsewhere_is_told_once(tenant: Tenant, http: httpx.AsyncClient, mailbox: Mailbox) -> None:
    """The same device and network need no mail; another one does, the first time."""
    await tenant.sign_in(tenant.email)
    body = {"email": tenant.email, "password": PASSWORD}
    headers = {"x-millrace-tenant": str(tenant.id), "user-agent": "Another/1.0", "x-forwarded-for": "203.0.113.9"}
    for _ in range(2):
        assert (await http.post("/api/v1/auth/login", json=body, headers=headers)).status_code == 200
    assert (await subjects(mailbox, tenant, 2))[1:] == ["A new sign-in"]
    mail = await mailbox.wait(tenant.email, 2)
    assert "203.0.113.9" in mail.get_content()
    assert "Another/1.0" in mail.get_content()


def test_what_counts_as_familiar() -> None:
    """The first sign-in, and a known device in a network that was seen: 24 bits of IPv4, 48 of IPv6."""
    at_home = Client("198.51.100.7", "Firefox")
    assert Seen(False, ()).familiar(at_home)
    assert Seen(True, ("198.51.100.200",)).familiar(at_home)
    assert not Seen(True, ("198.51.101.7",)).familiar(at_home)
    assert not Seen(False, ("198.51.100.7",)).familiar(at_home)
    assert Seen(True, ("2001:db8:1:2::1",)).familiar(Client("2001:db8:1:9::5", "Firefox"))
    assert not Seen(True, ("2001:db8:2::1",)).familiar(Client("2001:db8:1::5", "Firefox"))
