"""Public forms: what a stranger fills in becomes a record in the owner's name, or every fault is named."""

from typing import Any
from uuid import UUID

from libs.common.ids import new_id
from libs.common.permissions import Grant
from services.records.domain import nonces
from services.records.domain.definitions import By, Field, Move, Pending
from tests.records.routes.test_sharing import ACTIONS, FIELDS, People, anyone, people
from tests.records.support import Client, Service
from tests.support.waiting import eventually

__all__ = ["anyone", "people"]
FORM: dict[str, Any] = {
    "name": "Write to us", "fields": ["name", "mail"], "required": ["mail"], "presets": {"stage": "in"},
    "thank_you": "We will answer", "min_seconds": 0,
}  # fmt: skip


async def opened(owner: Client, pipeline: UUID, **options: Any) -> tuple[str, dict[str, Any]]:
    """A form's public path, and the form."""
    made = await owner.post(f"/pipelines/{pipeline}/forms", {**FORM, **options})
    assert made.status_code == 201, made.text
    return made.json()["path"].removeprefix("/api/v1"), made.json()


async def records(client: Client, pipeline: UUID) -> list[dict[str, Any]]:
    """The data of all records."""
    items = (await client.get(f"/pipelines/{pipeline}/records", params={"sort": "id"})).json()["items"]
    return [item["data"] for item in items]


async def test_a_form_makes_one_record_for_each_time_it_is_opened(
    service: Service, people: People, anyone: Client
) -> None:
    """What is sent is checked, gets the form's values, is made once however often it is sent, and history says how."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    path, form = await opened(owner, pipeline)
    blank = (await anyone.get(path)).json()
    assert (list(blank["schema"]["properties"]), blank["schema"]["required"]) == (["name", "mail"], ["name", "mail"])
    body = {"data": {"name": "Ada", "mail": "ADA@x.example"}, "nonce": blank["nonce"]}
    for _ in range(3):
        sent = await anyone.post(path, body)
        assert (sent.status_code, sent.json()) == (201, {"thank_you": "We will answer"})
    assert await records(owner, pipeline) == [{"name": "Ada", "mail": "ADA@x.example", "stage": "in"}]
    item = (await owner.get(f"/pipelines/{pipeline}/records")).json()["items"][0]
    line = (await owner.get(f"/pipelines/{pipeline}/records/{item['id']}/history")).json()["items"][0]
    assert (line["client"], line["actor"]["name"]) == ({"via": "form", "id": form["id"]}, "Form of Ann")


async def test_every_fault_of_what_is_sent_is_named(service: Service, people: People, anyone: Client) -> None:
    """Missing, malformed and unknown values are refused with their fields; of one that is taken nobody is told. Nothing
    is made.
    """
    pipeline = service.pipeline(*FIELDS)
    path, _ = await opened(people.client(Grant("records", ACTIONS)), pipeline)
    nonce = (await anyone.get(path)).json()["nonce"]
    for data, faults in (
        ({"name": "x"}, {("/data/mail", "required")}),
        ({"name": "x", "mail": "no", "score": 5}, {("/data/mail", "invalid_email"), ("/data/score", "unknown_field")}),
        ({"mail": "a@x.example"}, {("/data/name", "required")}),
    ):
        refused = await anyone.post(path, {"data": data, "nonce": nonce})
        assert refused.status_code == 422, refused.text
        assert {(fault["pointer"], fault["code"]) for fault in refused.json()["errors"]} == faults
    assert await records(service.client, pipeline) == []
    await service.client.create(pipeline, {"name": "Ada", "mail": "ada@x.example"})
    sent = await anyone.post(path, {"data": {"name": "x", "mail": "Ada@x.example"}, "nonce": nonce})
    assert (sent.status_code, sent.json()) == (201, {"thank_you": "We will answer"})
    assert [it["name"] for it in await records(service.client, pipeline)] == ["Ada"]


async def test_a_field_that_was_made_just_now_is_known_everywhere(service: Service, people: People) -> None:
    """Forms, links, imports, uploads and history take a field of which no event has told yet, each on its own."""
    owner = people.client(Grant("records", ACTIONS))
    pipeline = service.pipeline(*FIELDS)
    record = await owner.create(pipeline, {"name": "Ada", "mail": "ada@x.example"})
    names = iter("abcdefgh")

    def grown(kind: str, **options: object) -> str:
        fields = service.definitions.pipelines[service.tenant_id, pipeline].fields
        new = {"name": next(names), "type": kind, **options}
        known = [{"name": it.name, "type": it.type, **_options(it)} for it in fields]
        service.pipeline(*known, new, id=pipeline)
        return str(new["name"])

    await opened(owner, pipeline, fields=["name", "mail", grown("text")])
    link = await owner.post(f"/records/{record['id']}/share-links", {"fields": [grown("text")]})
    assert link.status_code == 201, link.text
    wanted = {"mapping": f'{{"x": "{grown("text")}"}}'}
    body = {"content": b"x\n1\n", "headers": {"content-type": "text/csv"}}
    brought = await owner.call("POST", f"/pipelines/{pipeline}/imports", params=wanted, **body)
    assert brought.status_code == 202, brought.text
    path = f"/pipelines/{pipeline}/files?field={grown('file')}"
    held = await owner.call("POST", path, content=b"text", headers={"content-type": "text/plain"})
    assert held.status_code == 201, held.text
    lines = await owner.get(f"/pipelines/{pipeline}/records/{record['id']}/history?field={grown('text')}")
    assert lines.status_code == 200, lines.text


def _options(field: Field) -> dict[str, object]:
    return {"options": [{"value": it.value} for it in field.options]} if field.options else {"unique": field.unique}


async def test_machines_are_kept_out(service: Service, people: People, anyone: Client) -> None:
    """Who fills in what is not shown is thanked and nothing is made; who is too quick or has no nonce is refused."""
    pipeline = service.pipeline(*FIELDS)
    owner = people.client(Grant("records", ACTIONS))
    path, _ = await opened(owner, pipeline)
    nonce = (await anyone.get(path)).json()["nonce"]
    data = {"name": "x", "mail": "x@x.example"}
    trapped = await anyone.post(path, {"data": data, "nonce": nonce, "website": "http://x.example"})
    assert (trapped.status_code, trapped.json()["thank_you"]) == (201, "We will answer")
    for bad in ("", "1.x.y", f"{nonce}0", nonce.replace(".", "0.", 1)):
        assert (await anyone.post(path, {"data": data, "nonce": bad})).status_code == 422, bad
    slow, _ = await opened(owner, pipeline, min_seconds=600)
    nonce = (await anyone.get(slow)).json()["nonce"]
    assert (await anyone.post(slow, {"data": data, "nonce": nonce})).status_code == 409
    assert await records(owner, pipeline) == []


async def test_a_form_fits_its_pipeline_and_its_owner(service: Service, people: People, anyone: Client) -> None:
    """A form names fields that there are and its owner may write, by the names that they have by now; it ends with the
    owner's right to make records.
    """
    pipeline = service.pipeline(*FIELDS, {"name": "file", "type": "file"})
    owner = people.client(Grant("records", ACTIONS))
    path = f"/pipelines/{pipeline}/forms"
    for change in (
        {"fields": ["name", "mail", "nothing"]}, {"fields": ["mail"]}, {"fields": ["name", "mail", "file"]},
        {"required": ["score"]}, {"presets": {"name": "x"}}, {"presets": {"score": "x"}},
    ):  # fmt: skip
        assert (await owner.post(path, {**FORM, **change})).status_code == 422, change
    for end in ("2001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2199-01-01T00:00:00Z", "2027-01-01T00:00:00"):
        refused = await owner.post(path, {**FORM, "closes_at": end})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/closes_at"), end
    reader = people.client(Grant("records", frozenset({"read", "share"})))
    assert (await reader.post(path, FORM)).status_code == 403
    public, form = await opened(owner, pipeline)
    changed = await owner.patch(f"{path}/{form['id']}", {"name": "Other", "required": []})
    assert (changed.json()["name"], changed.json()["required"]) == ("Other", [])
    assert (await owner.get(f"{path}/{form['id']}")).json() == changed.json()
    assert [one["id"] for one in (await owner.get(path)).json()["items"]] == [form["id"]]
    assert (await owner.get(f"{path}?count=exact")).json()["count"] == 1
    assert (await anyone.get(public)).json()["schema"]["required"] == ["name"]
    assert (await owner.delete(f"{path}/{form['id']}")).status_code == 204
    assert (await anyone.get(public)).status_code == 410
    again, form = await opened(owner, pipeline)
    await rename(service, pipeline, {"mail": "email", "stage": "state"})

    async def follows() -> bool:
        it = (await owner.get(f"{path}/{form['id']}")).json()
        return (it["fields"], it["required"], it["presets"]) == (["name", "email"], ["email"], {"state": "in"})

    await eventually(follows)
    blank = (await anyone.get(again)).json()
    sent = await anyone.post(again, {"data": {"name": "Ada", "email": "a@x.example"}, "nonce": blank["nonce"]})
    assert sent.status_code == 201, sent.text
    await people.dismiss()
    assert (await anyone.get(again)).status_code == 410


async def rename(service: Service, pipeline: UUID, names: dict[str, str]) -> None:
    """Lets pipelines say that fields go by other names."""
    renamed = [{**it, "name": names.get(it["name"], it["name"])} for it in FIELDS]
    moves = tuple(Move(old, new) for old, new in names.items())
    by = By(new_id(), "user", "Ann")
    pending = Pending(job_id=new_id(), version=2, by=by, moves=moves)
    service.pipeline(*renamed, id=pipeline, pending=(pending,), by=by)
    known = service.definitions.pipelines[service.tenant_id, pipeline]
    await service.definitions.announce(service.tenant_id, "pipelines.pipeline.updated", pipeline, known)


def test_a_nonce_is_one_of_ours() -> None:
    """The age of a nonce is told where it was sealed with the same secret, and nothing else has one."""
    nonce = nonces.issue("secret", 1000.0)
    assert nonces.age("secret", nonce, 1005.5) == 5.5
    assert [nonces.age("other", nonce, 1.0), nonces.age("secret", "", 1.0), nonces.age("secret", "é.é", 1.0)] == [
        None
    ] * 3
