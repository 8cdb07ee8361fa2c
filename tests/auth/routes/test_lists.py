"""Lists: what all of them have in common."""

from tests.auth.support import Tenant, faults

LISTS = {
    "/api-keys?": 3, "/devices?": 2, "/invitations?": 2, "/sessions?": 3, "/compliance/exports?": 2,
    "/compliance/erasures?": 0, "/admin/audit-log?action=api_key.created&": 3, "/admin/audit-log?action=device.*&": 2,
}  # fmt: skip


async def test_lists_are_counted_where_that_is_asked_for(tenant: Tenant) -> None:
    """A count is that of all pages, on each of them, and of what the list is filtered by; another word is refused."""
    for path, many in (("/api-keys", 3), ("/devices", 2)):
        for number in range(many):
            key = {"name": f"Key {number}", "roles": ["viewer"]}
            assert (await tenant.ask("POST", path, json=key)).status_code == 201
    for number in range(2):
        person = {"email": f"person{number}@example.com"}
        assert (await tenant.ask("POST", "/invitations", json={**person, "roles": ["viewer"]})).status_code == 201
        assert (await tenant.ask("POST", "/compliance/exports", json=person)).status_code == 202
        await tenant.sign_in(tenant.email)
    for path, many in LISTS.items():
        page = (await tenant.ask("GET", f"{path}count=exact&limit=1")).json()
        assert (page["count"], len(page["items"])) == (many, min(many, 1)), path
        rest = await tenant.ask("GET", f"{path}count=estimated&limit=1&cursor={page['next_cursor'] or ''}")
        assert many < 2 or (rest.json()["count"], rest.json()["items"] != page["items"]) == (many, True), path
        assert "count" not in (await tenant.ask("GET", f"{path}count=none")).json(), path
        refused = await tenant.ask("GET", f"{path}count=some")
        assert (refused.status_code, list(faults(refused))) == (422, ["/count"]), path
