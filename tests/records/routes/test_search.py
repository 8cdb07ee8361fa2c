"""Search: what is found, in which order, with which snippets, and by whom."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg

from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.records.support import Client, Service, records_service
from tests.support.postgres import Database
from tests.support.waiting import eventually

FIELDS = [
    {"name": "name", "type": "text", "searchable": True},
    {"name": "others", "type": "textarea", "searchable": True},
    {"name": "tags", "type": "tags", "searchable": True},
    {"name": "size", "type": "number"},
    {"name": "owner", "type": "text"},
]
CITIES = (
    ("Berlin", "Berlín, Берлин, برلين, 柏林, ベルリン"),
    ("München", "Munich, Monaco di Baviera, Мюнхен"),
    ("New York", "New York City, Нью-Йорк, 紐約"),
    ("New Berlin", "Wisconsin"),
    ("Łódź", "Lodz, Лодзь"),
    ("Tōkyō", "東京都, 東京, とうきょう, Токио"),
    ("Delhi", "दिल्ली, ディリ"),
    ("Athens", "Αθήνα"),
    ("Istanbul", "İstanbul, Constantinople"),
)


async def cities(service: Service, **options: Any) -> UUID:
    """A pipeline of cities."""
    pipeline = service.pipeline(*FIELDS, **options)
    await service.client.batch(pipeline, [{"op": "create", "data": {"name": n, "others": o}} for n, o in CITIES])
    return pipeline


async def found(client: Client, q: str, **query: Any) -> list[str]:
    """The titles of what is found."""
    return [item["title"] for item in (await page(client, q, **query))["items"]]


async def page(client: Client, q: str, **query: Any) -> dict[str, Any]:
    """A page of what is found."""
    answer = await client.get("/search", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


QUESTIONS = {
    "Berlin": "Berlin",
    "берлин": "Berlin",
    "برلين": "Berlin",
    "柏林": "Berlin",
    "munchen": "München",
    "MÜNCHEN": "München",
    "Мюнх": "München",
    "lodz": "Łódź",
    "łodz": "Łódź",
    "京都": "Tōkyō",
    "tokyo": "Tōkyō",
    "दिल्ली": "Delhi",
    "αθηνα": "Athens",
    "istanbul": "Istanbul",
    "new yo": "New York",
    "york new": "New York",
    "Нью-Йорк": "New York",
    "Berln": "Berlin",
    "Belrin": "Berlin",
    "Muncihen": "München",
    "Constantinopel": "Istanbul",
    "Мюнхнн": "München",
    "Αθνηα": "Athens",
}


async def test_cities_are_found_in_any_script_and_with_slips(service: Service) -> None:
    """Whatever the script, the accents and the case, begun or with a slip: the city comes first."""
    await cities(service)
    firsts = {q: next(iter(await found(service.client, q)), None) for q in QUESTIONS}
    assert firsts == QUESTIONS


async def test_the_best_come_first(service: Service) -> None:
    """The very title, then titles and other fields with the word, then those that only begin so."""
    pipeline = service.pipeline(*FIELDS)
    names = ["Parish", "New Paris", "Paris", "Texas", "Paris Saint-Denis"]
    rows = [{"name": name, "others": "north of Paris" if name == "Texas" else "x"} for name in names]
    await service.client.batch(pipeline, [{"op": "create", "data": row} for row in rows])
    shown = await found(service.client, "paris")
    assert shown[0] == "Paris"
    assert set(shown[1:3]) == {"New Paris", "Paris Saint-Denis"}
    assert shown[3:] == ["Texas", "Parish"]


async def test_snippets_are_safe_html(service: Service) -> None:
    """What was found is marked, and what the record says is escaped, also around it."""
    pipeline = service.pipeline(*FIELDS)
    text = "<script>alert('x')</script> " + "word " * 60 + "the Größe & weight <b>größe</b>" + " end" * 60
    await service.client.create(pipeline, {"name": "One", "others": text, "tags": ["Große <i>"]})
    (item,) = (await page(service.client, "grosse"))["items"]
    assert item["snippets"][1] == {"field": "tags", "text": "<mark>Große</mark> &lt;i&gt;"}
    (item,) = (await page(service.client, "grö weig"))["items"]
    (others,) = [snippet["text"] for snippet in item["snippets"] if snippet["field"] == "others"]
    assert "the <mark>Größe</mark> &amp; <mark>weight</mark> &lt;b&gt;<mark>größe</mark>&lt;/b&gt;" in others
    assert others.startswith("… word ")
    assert others.endswith(" …")
    assert "<script>" not in others
    assert item["record"]["data"]["others"] == text


async def test_inflections_are_found_in_the_askers_language(service: Service) -> None:
    """In English cities are a city, in German Häuser a Haus, in none they are not; who names none has their own."""
    pipeline = service.pipeline(*FIELDS)
    for name in ("city of running water", "Häuser am See"):
        await service.client.create(pipeline, {"name": name})
    asked = {"cities": "en", "runs": "en", "Hauser": "de"}
    assert [await found(service.client, q, language=language) for q, language in asked.items()] == [
        ["city of running water"], ["city of running water"], ["Häuser am See"],
    ]  # fmt: skip
    answer = await service.client.get("/search", params={"q": "cities"}, headers={"accept-language": "xx, en-GB;q=0.8"})
    assert [item["title"] for item in answer.json()["items"]] == ["city of running water"]
    assert await found(service.client, "runs") == []
    user, role = new_id(), service.issuer.role(service.tenant_id)
    service.issuer.locales[user] = "en-GB"
    token = service.issuer.token(service.tenant_id, role, sub=str(user))
    speaker = Client(service.http, {"Authorization": f"Bearer {token}"})
    assert await found(speaker, "runs") == ["city of running water"]
    assert await found(speaker, "runs", language="de") == []


async def test_it_follows_every_change(service: Service) -> None:
    """A change, the trash, the way back and the end are each seen by the next search."""
    pipeline = service.pipeline(*FIELDS)
    record = await service.client.create(pipeline, {"name": "Alpha", "others": "first"})
    path = f"/pipelines/{pipeline}/records/{record['id']}"
    assert await found(service.client, "first") == ["Alpha"]
    await service.client.patch(path, {"data": {"others": "second", "name": "Beta"}})
    assert (await found(service.client, "first"), await found(service.client, "alpha")) == ([], [])
    assert await found(service.client, "second") == ["Beta"]
    await service.client.patch(path, {"data": {"others": None}})
    assert await found(service.client, "second") == []
    await service.client.delete(path)
    assert await found(service.client, "beta") == []
    await service.client.post(f"{path}/restore")
    assert await found(service.client, "beta") == ["Beta"]
    await service.client.delete(f"{path}?permanent=true")
    assert await found(service.client, "beta") == []


async def test_a_batch_that_is_rolled_back_leaves_no_words(service: Service) -> None:
    """Words are kept in the transaction of their records: a dry run and a failed batch are not found."""
    pipeline = service.pipeline(*FIELDS)
    one = {"op": "create", "data": {"name": "Ghost"}}
    await service.client.batch(pipeline, [one], dry_run=True)
    body = {"operations": [one, {"op": "create", "data": {"name": 5}}], "atomic": True}
    assert (await service.client.post(f"/pipelines/{pipeline}/records/batch", body)).status_code == 422
    assert await found(service.client, "ghost") == []


async def test_concurrent_changes_are_each_found(service: Service) -> None:
    """Of many who write at once nobody waits for another's words, and the last word of each is found."""
    pipeline = service.pipeline(*FIELDS)
    made = [await service.client.create(pipeline, {"name": f"Item {n}"}) for n in range(4)]

    async def change(n: int, turn: int) -> None:
        path = f"/pipelines/{pipeline}/records/{made[n]['id']}"
        answer = await service.client.patch(path, {"data": {"others": f"shared turn{n}x{turn}"}})
        assert answer.status_code == 200

    for turn in range(5):
        await asyncio.gather(*(change(n, turn) for n in range(4)))
    assert len(await found(service.client, "shared")) == 4
    assert [(await found(service.client, f"turn{n}x4"))[0] for n in range(4)] == [f"Item {n}" for n in range(4)]
    assert "turn0x3" not in str((await page(service.client, "turn0x3"))["items"])


async def test_pages_are_each_record_once(service: Service) -> None:
    """Page by page comes every record, once, in the order of one large page; with slips as well."""
    pipeline = service.pipeline(*FIELDS)
    rows = [{"name": f"Company {n}", "others": "company " * (n % 3)} for n in range(25)]
    await service.client.batch(pipeline, [{"op": "create", "data": row} for row in rows])
    for q in ("company", "compnay"):
        whole = [item["id"] for item in (await page(service.client, q, limit=100))["items"]]
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            part = await page(service.client, q, limit=7, **({"cursor": cursor} if cursor else {}))
            seen += [item["id"] for item in part["items"]]
            cursor = part["next_cursor"]
        assert len(set(seen)) == 25
        assert seen == whole


async def test_one_pipeline_or_all(service: Service) -> None:
    """A search is over all pipelines, or over one; one that does not exist is not found."""
    one, other = await cities(service), await cities(service)
    assert await found(service.client, "athens") == ["Athens", "Athens"]
    assert await page(service.client, "athens") == await page(service.client, "athens", elsewhere="left to others")
    (item,) = (await page(service.client, "athens", pipeline_id=str(other)))["items"]
    assert item["pipeline_id"] == str(other) != str(one)
    for unknown in (new_id(), "nonsense"):
        assert (await service.client.get(f"/search?q=x&pipeline_id={unknown}")).status_code == 404


ALL = frozenset({"read"})


async def test_hidden_fields_have_no_part_in_it(service: Service) -> None:
    """Text in a field that may not be read is no hit, has no weight, no snippet, and corrects no slip."""
    pipeline = service.pipeline(*FIELDS)
    await service.client.create(pipeline, {"name": "Plain", "others": "confidential merger"})
    await service.client.create(pipeline, {"name": "Merger", "others": "public"})
    await service.client.create(pipeline, {"name": "Merger of", "others": "merger merger merger"})
    fields = frozenset({"name", "size"})
    someone = service.principal(Grant("records", ALL, pipeline, readable_fields=fields))
    assert await found(someone, "confidential") == []
    assert await found(someone, "confidentail") == []
    shown = await page(someone, "merger")
    assert [item["title"] for item in shown["items"]] == ["Merger", "Merger of"]
    assert {snippet["field"] for item in shown["items"] for snippet in item["snippets"]} == {"name"}
    assert all(item["record"]["data"].keys() <= fields for item in shown["items"])
    named = service.principal(Grant("records", ALL, pipeline, readable_fields=frozenset({"others"})))
    shown = await page(named, "merger")
    assert [item["title"] for item in shown["items"]] == ["", ""]
    assert await found(named, "plain") == []


async def test_scores_tell_nothing_of_hidden_fields(service: Service) -> None:
    """Two records that differ only in what may not be read have the same score."""
    pipeline = service.pipeline(*FIELDS)
    await service.client.create(pipeline, {"name": "Same thing", "others": "thing thing thing"})
    await service.client.create(pipeline, {"name": "Same thing", "others": "else"})
    someone = service.principal(Grant("records", ALL, pipeline, readable_fields=frozenset({"name"})))
    one, other = (await page(someone, "thing"))["items"]
    assert one["score"] == other["score"]


async def test_row_rules_hold(service: Service) -> None:
    """Only rows that a rule lets be seen are found, and in each only the fields that this rule's grant shows."""
    pipeline = service.pipeline(*FIELDS)
    for name, owner in (("Mine", "me"), ("Theirs", "you")):
        await service.client.create(pipeline, {"name": name, "others": "secret plan", "owner": owner})
    rule = {"field": "owner", "op": "eq", "value": "me"}
    ruled = service.principal(Grant("records", ALL, pipeline, row_rule=rule))
    assert await found(ruled, "plan") == ["Mine"]
    assert await found(ruled, "theirs") == []
    both = service.principal(
        Grant("records", ALL, pipeline, row_rule=rule),
        Grant("records", ALL, pipeline, readable_fields=frozenset({"name"})),
    )
    assert await found(both, "plan") == ["Mine"]
    assert await found(both, "theirs") == ["Theirs"]
    nobody = service.principal(Grant("records", ALL, new_id()))
    assert await found(nobody, "plan") == []
    assert (await nobody.get(f"/search?q=plan&pipeline_id={pipeline}")).status_code == 403


async def test_another_tenant_finds_nothing(service: Service) -> None:
    """The words of one tenant are not another's, nor do they correct another's slips."""
    await cities(service)
    stranger = Client(service.http, service.issuer.headers(new_id()))
    assert [await found(stranger, q) for q in ("Berlin", "Berln", "a")] == [[], [], []]


SIGNS = ["& | ! ( )", "'", "a'b\\\\", "\\", "a & b | !c:*", "-", "\U0001f600", "<->", ":*A"]


async def test_signs_are_no_syntax(service: Service) -> None:
    """Whatever signs are typed, the answer is a page."""
    await cities(service)
    for q in SIGNS:
        assert (await page(service.client, q))["next_cursor"] is None, q


async def test_bad_input_is_told(service: Service) -> None:
    """Nothing, too much, a limit or cursor that is none: each is refused with its pointer."""
    for query, pointer in (
        ({"q": ""}, "/q"),
        ({"q": "  "}, "/q"),
        ({"q": "x" * 201}, "/q"),
        ({"q": "x", "limit": 0}, "/limit"),
        ({"q": "x", "limit": 201}, "/limit"),
        ({"q": "x", "cursor": "nonsense"}, "/cursor"),
        ({"q": "x", "cursor": "lAEC"}, "/cursor"),
    ):
        answer = await service.client.get("/search", params=query)
        assert (answer.status_code, [fault["pointer"] for fault in answer.json()["errors"]]) == (422, [pointer])
    assert (await service.client.get("/search")).status_code == 422
    assert (await service.http.get("/api/v1/search?q=x")).status_code == 401


async def test_huge_and_odd_values_are_kept(service: Service) -> None:
    """A field of a hundred thousand characters, one word of as many, and signs of every kind are written and found."""
    pipeline = service.pipeline(*FIELDS)
    words = " ".join(f"w{n}" for n in range(14_000))
    for name, others in (("Long", words), ("One", "x" * 100_000), ("Odd", "'a' \\ :1A \u0301\u200b 東" + "京" * 3000)):
        await service.client.create(pipeline, {"name": name, "others": others})
    assert await found(service.client, "w500") == ["Long"]
    assert await found(service.client, "x" * 100) == ["One"]
    assert await found(service.client, "odd") == ["Odd"]
    assert await found(service.client, "東京") == ["Odd"]


async def test_fields_that_become_searchable_are_searched(database: Database, nats_url: str, redis_url: str) -> None:
    """A definition that marks another field lets a job keep its words, and one that unmarks it forgets them."""
    async with records_service(database, nats_url, redis_url) as service:
        pipeline = service.pipeline({"name": "name", "type": "text"}, {"name": "notes", "type": "text"})
        await _announce(service, pipeline)
        rows = [{"name": f"Row {n}", "notes": f"hidden{n} gem"} for n in range(600)]
        await service.client.batch(pipeline, [{"op": "create", "data": row} for row in rows])
        assert await found(service.client, "gem") == []
        service.pipeline(
            {"name": "name", "type": "text"}, {"name": "notes", "type": "text", "searchable": True}, id=pipeline
        )
        await _announce(service, pipeline)

        async def all_found() -> bool:
            return await found(service.client, "hidden599") == ["Row 599"]

        await eventually(all_found)
        assert await found(service.client, "hidden0") == ["Row 0"]
        service.pipeline({"name": "name", "type": "text"}, {"name": "notes", "type": "text"}, id=pipeline)
        await _announce(service, pipeline)

        async def none_found() -> bool:
            return await found(service.client, "hidden599") == []

        await eventually(none_found)


async def _announce(service: Service, pipeline: UUID) -> None:
    definition = service.definitions.pipelines[service.tenant_id, pipeline]
    kind = "pipelines.pipeline.created" if definition.version == 1 else "pipelines.pipeline.updated"
    await service.definitions.announce(service.tenant_id, kind, pipeline, definition)


async def test_words_go_with_the_last_record_that_says_them(service: Service) -> None:
    """What only a record in the trash says is kept nowhere in search, what another says as well is; it comes back."""
    pipeline = service.pipeline(*FIELDS)
    gone = await service.client.create(pipeline, {"name": "Wolfgang", "others": "composer"})
    await service.client.create(pipeline, {"name": "Ludwig", "others": "composer"})
    path = f"/pipelines/{pipeline}/records/{gone['id']}"
    connection = await asyncpg.connect(service.database.admin_dsn)

    async def known() -> list[str]:
        rows = await connection.fetch("select distinct word from records.search_words order by word")
        return [row["word"] for row in rows]

    assert await known() == ["composer", "ludwig", "wolfgang"]
    await service.client.delete(path)
    assert await known() == ["composer", "ludwig"]
    await service.client.post(f"{path}/restore")
    assert await found(service.client, "Wolfgnag") == ["Wolfgang"]
    await service.client.delete(f"{path}?permanent=true")
    assert await known() == ["composer", "ludwig"]
    await connection.close()
