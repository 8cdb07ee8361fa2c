"""What whoever has a link may see and do: never more than its owner may at that moment."""

from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import jwt
import msgspec
import pytest

from libs.common import clock
from libs.common.errors import NotFound
from libs.common.ids import new_id
from libs.common.permissions import Grant, RoleGrants
from services.records.domain.views import View
from services.records.usecases.owners import Person
from tests.records.support import Client, Service
from tests.support.waiting import eventually

FIELDS: list[dict[str, Any]] = [
    {"name": "name", "type": "text", "required": True},
    {"name": "mail", "type": "email", "unique": True},
    {"name": "score", "type": "number"},
    {"name": "stage", "type": "select", "options": [{"value": "in"}, {"value": "out"}]},
]
ACTIONS = frozenset({"read", "create", "update", "delete", "share"})


class PersonQuestion(msgspec.Struct):
    """Who is asked for."""

    tenant_id: UUID
    user_id: UUID


@dataclass
class People:
    """Stands in for what auth and pipelines answer of people, views and schemas."""

    service: Service
    known: dict[UUID, Person] = field(default_factory=dict)

    def client(self, *grants: Grant) -> Client:
        """A principal whom auth knows."""
        found = self.service.principal(*grants)
        claims = jwt.decode(found.headers["Authorization"][7:], options={"verify_signature": False})
        self.known[UUID(claims["sub"])] = Person(
            UUID(claims["sub"]), "Ann", "active", tuple(UUID(role) for role in claims["roles"])
        )
        return found

    def answer(self) -> None:
        """Begins to answer."""

        async def person(question: PersonQuestion) -> Person:
            if question.user_id not in self.known:
                raise NotFound
            return self.known[question.user_id]

        async def schema(_: dict[str, Any]) -> dict[str, Any]:
            properties = {one["name"]: {"type": "string"} for one in FIELDS}
            return {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "properties": properties,
                "required": ["name"],
            }

        self.service.bus.serve("rpc.auth.user", PersonQuestion, person)
        self.service.bus.serve("rpc.pipelines.json_schema", dict[str, Any], schema)

    async def dismiss(self) -> None:
        """Nobody may sign in any more."""
        self.known = {key: msgspec.structs.replace(it, status="deactivated") for key, it in self.known.items()}

    async def lose(self, *grants: Grant) -> None:
        """All roles allow this alone from now on."""
        for key in list(self.service.issuer.roles):
            old = self.service.issuer.roles[key]
            new = RoleGrants(old.id, old.slug, old.name, old.version + 1, grants)
            self.service.issuer.roles[key] = new
            await self.service.definitions.announce(key[0], "auth.role.updated", key[1], new)


@pytest.fixture
async def people(service: Service) -> People:
    """Answers of who people are."""
    found = People(service)
    found.answer()
    await service.bus.ready()
    return found


@pytest.fixture
def anyone(service: Service) -> Client:
    """Somebody whom nobody knows, at the tenant's host."""
    return Client(service.http, {"x-millrace-tenant": str(service.tenant_id)})


async def ended(anyone: Client, path: str) -> bool:
    """Whether a link opens nothing any more."""
    return (await anyone.get(path)).status_code == 410


async def shared(
    owner: Client, pipeline: UUID, data: dict[str, Any], **options: Any
) -> tuple[str, str, dict[str, Any]]:
    """A record that is shared: its path, the path of the link, and the link."""
    made = await owner.create(pipeline, data)
    link = await owner.post(f"/records/{made['id']}/share-links", options)
    assert link.status_code == 201, link.text
    return f"/pipelines/{pipeline}/records/{made['id']}", link.json()["path"].removeprefix("/api/v1"), link.json()


async def test_a_link_shows_what_its_owner_may_read_now(service: Service, people: People, anyone: Client) -> None:
    """Fields that the owner may not read are not shown, nor what the link leaves out; it ends with its owner."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS, readable_fields=frozenset({"name", "mail"})))
    _, path, link = await shared(owner, pipeline, {"name": "Ada", "mail": "a@x.example", "score": 7})
    assert (link["ended"], link["token"] in path) == (False, True)
    found = await anyone.get(path)
    assert (found.status_code, found.headers["etag"]) == (200, '"1"')
    assert found.json()["record"]["data"] == {"name": "Ada", "mail": "a@x.example"}
    assert found.json()["editable"] == []
    _, narrow, _ = await shared(owner, pipeline, {"name": "Eve", "mail": "e@x.example"}, fields=["mail"])
    seen = (await anyone.get(narrow)).json()["record"]
    assert (seen["data"], seen["title"]) == ({"mail": "e@x.example"}, "")
    assert (await anyone.patch(path, {"data": {"name": "x"}})).status_code == 403
    assert (await Client(service.http, {"x-millrace-tenant": str(new_id())}).get(path)).status_code == 404
    assert (await Client(service.http, {}).get(path)).status_code == 401
    await people.dismiss()
    assert (await anyone.get(path)).status_code == 410


async def test_a_link_ends_with_the_right_to_share(service: Service, people: People, anyone: Client) -> None:
    """When the owner's roles do not let the record be shared any more, the link shows nothing."""
    pipeline = service.pipeline(*FIELDS)
    _, path, _ = await shared(people.client(Grant("records", ACTIONS)), pipeline, {"name": "Ada"})
    assert (await anyone.get(path)).status_code == 200
    await people.lose(Grant("records", frozenset({"read"})))
    await eventually(partial(ended, anyone, path))


async def test_what_is_changed_by_a_link_says_so(service: Service, people: People, anyone: Client) -> None:
    """A link for changing takes the fields that it shows, but no unique value, so nobody learns which are there;
    history names it, versions collide as ever.
    """
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS, writable_fields=frozenset({"name", "score", "mail"})))
    await owner.create(pipeline, {"name": "Eve", "mail": "e@x.example"})
    given = {"name": "Ada", "mail": "a@x.example"}
    record, path, link = await shared(owner, pipeline, given, editable=True, fields=["score", "mail"])
    assert (await anyone.get(path)).json()["editable"] == ["score"]
    whole = {"score": 5, "mail": "a@x.example"}
    changed = await anyone.patch(path, {"data": whole}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["record"]["data"]) == (200, whole)
    assert (await anyone.patch(path, {"data": {"score": 6}}, headers={"if-match": '"1"'})).status_code == 412
    assert (await anyone.patch(path, {"data": {"name": "x"}})).status_code == 422
    refused = [(await anyone.patch(path, {"data": {"mail": f"{it}@x.example"}})).json() for it in ("x", "e")]
    assert [(it["status"], it["errors"], it["detail"]) for it in refused] == [
        (403, refused[0]["errors"], refused[0]["detail"])
    ] * 2
    line = (await service.client.get(f"{record}/history")).json()["items"][0]
    assert line["actor"]["name"] == "Share link of Ann"
    assert line["client"] == {"via": "share", "id": link["id"]}


async def test_a_link_is_ended_by_hand_by_time_and_with_its_record(
    service: Service, people: People, anyone: Client
) -> None:
    """A link that was revoked, that ran out, or whose record is in the trash opens nothing."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    record, path, link = await shared(owner, pipeline, {"name": "Ada"})
    links = f"/records/{record.rpartition('/')[2]}/share-links"
    listed = (await owner.get(links)).json()["items"]
    assert [(one["id"], one.get("token")) for one in listed] == [(link["id"], None)]
    assert (await owner.get(f"{links}?count=exact")).json()["count"] == 1
    assert (await owner.delete(f"{links}/{link['id']}")).status_code == 204
    assert (await anyone.get(path)).status_code == 410
    assert (await owner.get(links)).json()["items"] == []
    soon = clock.rfc3339(clock.now() + timedelta(seconds=0.5))
    short = (await owner.post(links, {"expires_at": soon})).json()["path"].removeprefix("/api/v1")
    await eventually(partial(ended, anyone, short))
    other = (await owner.post(links, {})).json()["path"].removeprefix("/api/v1")
    await owner.delete(record)
    assert (await anyone.get(other)).status_code == 410
    assert (await anyone.get("/shared/nonsense")).status_code == 404


async def test_who_may_not_share_makes_no_link(service: Service, people: People) -> None:
    """Without the right, of a record out of sight, of unknown fields, or until a time that is over, none is made."""
    pipeline = service.pipeline(*FIELDS)
    made = await service.client.create(pipeline, {"name": "Ada", "score": 1})
    path = f"/records/{made['id']}/share-links"
    reader = people.client(Grant("records", frozenset({"read"})))
    assert (await reader.post(path, {})).status_code == 403
    rule = {"field": "score", "op": "gt", "value": 5}
    elsewhere = people.client(
        Grant("records", frozenset({"read"})), Grant("records", frozenset({"share"}), row_rule=rule)
    )
    assert (await elsewhere.post(path, {})).status_code == 404
    owner = people.client(Grant("records", ACTIONS, readable_fields=frozenset({"name"})))
    ends = ("2001-01-01T00:00:00Z", "2199-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    for body in ({"fields": ["score"]}, *({"expires_at": end} for end in ends)):
        assert (await owner.post(path, body)).status_code == 422, body


async def test_a_cursor_of_a_shared_list_tells_nothing(service: Service, people: People, anyone: Client) -> None:
    """A list that is sorted by what it does not show goes on by cursors that nobody can read or make."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    view = View(new_id(), pipeline, 1, "shared", new_id(), None, "-mail", ("name",))

    async def known(_: dict[str, Any]) -> View:
        return view

    service.bus.serve("rpc.pipelines.view", dict[str, Any], known)
    await service.bus.ready()
    for name in ("a", "b"):
        await owner.create(pipeline, {"name": name, "mail": f"{name}-secret@example.com"})
    link = (await owner.post(f"/pipelines/{pipeline}/view-links", {"view_id": str(view.id)})).json()
    path = link["path"].removeprefix("/api/v1")
    cursor = (await anyone.get(path, params={"limit": 1})).json()["next_cursor"]
    assert b"secret" not in urlsafe_b64decode(cursor + "==")
    (rest,) = (await anyone.get(path, params={"limit": 1, "cursor": cursor})).json()["items"]
    assert rest["data"] == {"name": "a"}
    own = (await owner.get(f"/pipelines/{pipeline}/records?sort=-mail&limit=1")).json()["next_cursor"]
    for other in (own, cursor[:-2] + "xx", "x"):
        assert (await anyone.get(path, params={"cursor": other})).status_code == 422


async def test_who_changes_a_view_opens_no_other_fields(service: Service, people: People, anyone: Client) -> None:
    """Who may change a view and not read a field does not come to it by somebody else's link."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    view = View(new_id(), pipeline, 1, "shared", new_id(), None, "name", ("name",))

    async def known(_: dict[str, Any]) -> View:
        return view

    service.bus.serve("rpc.pipelines.view", dict[str, Any], known)
    await service.bus.ready()
    await owner.create(pipeline, {"name": "a", "score": 7})
    link = (await owner.post(f"/pipelines/{pipeline}/view-links", {"view_id": str(view.id)})).json()
    view = msgspec.structs.replace(view, version=2, fields=("name", "score"))
    announced = View(view.id, pipeline, 2, "shared", view.owner_id, None, "name", ("name", "score"))
    await service.definitions.announce(service.tenant_id, "pipelines.view.updated", view.id, announced)

    async def seen() -> bool:
        listed = (await owner.get(f"/pipelines/{pipeline}/records?view={view.id}")).json()["items"]
        return [item["data"] for item in listed] == [{"name": "a", "score": 7}]

    await eventually(seen)
    page = (await anyone.get(link["path"].removeprefix("/api/v1"))).json()
    assert ([item["data"] for item in page["items"]], len(page["fields"])) == ([{"name": "a"}], 1)


async def test_nobody_opens_links_in_anothers_name(service: Service, people: People) -> None:
    """A link stays when who acted in somebody's name is gone, so they make none, and no form."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    made = await owner.create(pipeline, {"name": "x"})
    form = {"name": "Form", "fields": ["name"]}
    mine = (await owner.post(f"/pipelines/{pipeline}/forms", form)).json()
    act = {"sub": str(new_id()), "sid": str(new_id()), "name": "Eve"}
    role = service.issuer.role(service.tenant_id)
    token = service.issuer.token(service.tenant_id, role, act=act)
    acting = Client(service.http, {"Authorization": f"Bearer {token}"})
    for refused in (
        await acting.post(f"/records/{made['id']}/share-links", {}),
        await acting.post(f"/pipelines/{pipeline}/forms", form),
        await acting.patch(f"/pipelines/{pipeline}/forms/{mine['id']}", {"name": "Other"}),
    ):
        assert (refused.status_code, refused.json()["type"]) == (403, "/problems/impersonating")


async def test_the_list_of_a_view_is_shared(service: Service, people: People, anyone: Client) -> None:
    """A link to a view pages through what its filter lets pass, in its order, with its fields."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    view = View(
        new_id(), pipeline, 1, "shared", new_id(), {"field": "score", "op": "gte", "value": 2}, "-score", ("score",)
    )

    async def known(_: dict[str, Any]) -> View:
        return view

    service.bus.serve("rpc.pipelines.view", dict[str, Any], known)
    await service.bus.ready()
    for score in range(5):
        await owner.create(pipeline, {"name": f"n{score}", "score": score})
    link = await owner.post(f"/pipelines/{pipeline}/view-links", {"view_id": str(view.id)})
    assert link.status_code == 201, link.text
    path = link.json()["path"].removeprefix("/api/v1")
    page = (await anyone.get(path, params={"limit": 2})).json()
    assert [(item["data"], item["title"]) for item in page["items"]] == [({"score": 4}, ""), ({"score": 3}, "")]
    rest = (await anyone.get(path, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert ([item["data"]["score"] for item in rest["items"]], rest["next_cursor"]) == ([2], None)
    links = f"/pipelines/{pipeline}/view-links"
    assert (await owner.get(f"{links}?count=exact")).json()["count"] == 1
    assert (await owner.delete(f"{links}/{link.json()['id']}")).status_code == 204
    assert (await owner.get(f"{links}?count=exact")).json() == {"items": [], "next_cursor": None, "count": 0}
    assert (await anyone.get(path)).status_code == 410
