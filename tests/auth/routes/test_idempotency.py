import asyncpg

from tests.auth.support import Heard, Mailbox, Tenant
from tests.support.postgres import Database

KEY = {"Idempotency-Key": "the key"}


async def test_a_secret_is_told_again_but_kept_encrypted(tenant: Tenant, database: Database) -> None:
    """The same request for an API key gives the same key, which stands nowhere in the database as it is."""
    body = {"name": "Script", "roles": ["viewer"]}
    answers = [
        await tenant.http.post(
            "/api/v1/api-keys",
            json=body,
            headers={"authorization": f"Bearer {tenant.told['access_token']}", **KEY},
        )
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len((await tenant.ask("GET", "/api-keys")).json()["items"]) == 1
    connection = await asyncpg.connect(database.admin_dsn)
    kept: bytes = await connection.fetchval("select body from auth.idempotency")
    await connection.close()
    assert answers[0].json()["key"].encode() not in kept


async def test_a_person_is_invited_once(tenant: Tenant, mailbox: Mailbox, heard: Heard) -> None:
    """A repeated invitation makes one user, sends one mail after the commit, and tells of it once."""
    body = {"email": "new@example.com", "name": "New", "roles": ["member"]}
    headers = {"authorization": f"Bearer {tenant.told['access_token']}", **KEY}
    answers = [await tenant.http.post("/api/v1/users", json=body, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.text for answer in answers} == {answers[0].text}
    await mailbox.wait("new@example.com")
    created = await heard.wait(tenant.id, "auth.user.created", 2)
    assert [user["email"] for user in created] == [tenant.email, "new@example.com"]
    assert len(mailbox.of("new@example.com")) == 1
    other = await tenant.http.post("/api/v1/users", json={**body, "name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
