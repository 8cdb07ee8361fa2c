"""The organization of the one who asks."""

from tests.auth.support import Heard, Tenant, faults, problem


async def test_an_organization_is_changed_by_merging(tenant: Tenant, heard: Heard) -> None:
    """What is not named stays, within the look too; the change is announced."""
    first = {"name": "Acme Ltd", "time_zone": "Europe/Vienna", "branding": {"primary_color": "#0a5fff"}}
    await tenant.ask("PATCH", "/organizations/current", json=first)
    look = {"branding": {"logo_url": "https://acme.example.com/logo.svg"}}
    told = (await tenant.ask("PATCH", "/organizations/current", json=look)).json()
    assert (told["name"], told["time_zone"], told["locale"]) == ("Acme Ltd", "Europe/Vienna", "en")
    assert told["branding"] == {"primary_color": "#0a5fff", "logo_url": "https://acme.example.com/logo.svg"}
    assert (await tenant.ask("GET", "/organizations/current")).json() == told
    plain = await tenant.ask("PATCH", "/organizations/current", json={"branding": {"primary_color": None}})
    assert plain.json()["branding"] == {"logo_url": "https://acme.example.com/logo.svg"}
    updated = await heard.wait(tenant.id, "auth.tenant.updated", 3)
    assert {it["name"] for it in updated} == {"Acme Ltd"}


async def test_faults_of_an_organization_are_told_together(tenant: Tenant) -> None:
    """Name, language, zone and look are checked."""
    body = {
        "name": "",
        "locale": "english",
        "time_zone": "Vienna",
        "branding": {"primary_color": "blue", "logo_url": "javascript:alert(1)"},
    }
    assert faults(await tenant.ask("PATCH", "/organizations/current", json=body)) == {
        "/name": "invalid_name",
        "/locale": "invalid_locale",
        "/time_zone": "invalid_time_zone",
        "/branding/primary_color": "invalid_color",
        "/branding/logo_url": "invalid_url",
    }


async def test_changing_the_organization_takes_a_grant(tenant: Tenant) -> None:
    """A manager sees it and cannot change it; an admin can."""
    manager, admin = await tenant.token_of("manager"), await tenant.token_of("admin")
    assert (await tenant.ask("GET", "/organizations/current", manager)).status_code == 200
    refused = await tenant.ask("PATCH", "/organizations/current", manager, json={"name": "Mine"})
    assert problem(refused) == (403, "forbidden")
    assert (await tenant.ask("PATCH", "/organizations/current", admin, json={"name": "Ours"})).status_code == 200
