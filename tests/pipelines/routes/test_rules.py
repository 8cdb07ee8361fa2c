from typing import Any

from libs.common.bus import Bus
from libs.common.ids import new_id
from tests.pipelines.conftest import NAME, Json, Service, announced, faults

SCORE = {"name": "score", "type": "number"}
RULE: Json = {"effect": "require", "when": {"field": "score", "op": "gte", "value": 50}, "fields": ["name"]}


async def test_rules_live_with_their_pipeline(service: Service, bus: Bus) -> None:
    """A rule is added, changed and removed, each time as the pipeline's next version, which its event tells."""
    made = await service.create("Deals", NAME, SCORE)
    path = f"/pipelines/{made['id']}/rules"
    added = await service.client.post(path, json=RULE)
    assert (added.status_code, added.headers["etag"]) == (201, '"2"')
    rule = added.json()
    changed = await service.patch(f"{path}/{rule['id']}", {"effect": "hide", "name": "Low"})
    assert changed == {**rule, "effect": "hide", "name": "Low"}
    assert (await service.client.get(path)).json()["items"] == [changed]
    assert (await service.client.delete(f"{path}/{rule['id']}")).status_code == 204
    assert (await service.client.delete(f"{path}/{rule['id']}")).status_code == 404
    told = [event.data["rules"] for event in await announced(bus, 4)]
    assert told == [[], [rule], [changed], []]


UNFIT: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"when": {"field": "nothing", "value": 1}}, {("/when/field", "unknown_field")}),
    ({"when": {"field": "score", "op": "contains", "value": "a"}}, {("/when/op", "invalid_operator")}),
    ({"when": {"field": "created_by", "value": "$user"}}, {("/when/field", "unknown_field")}),
    ({"fields": ["name", "other"]}, {("/fields/1", "unknown_name")}),
    ({"fields": []}, {("/fields", "invalid_value")}),
    ({"effect": "explode"}, {("/effect", "invalid_value")}),
    ({"more": 1}, {("/more", "unknown_field")}),
]


async def test_a_rule_fits_its_pipeline(service: Service) -> None:
    """Filters of unknown fields, operators that do not suit and fields that are not there are faults."""
    made = await service.create("Deals", NAME, SCORE)
    for body, expected in UNFIT:
        answer = await service.client.post(f"/pipelines/{made['id']}/rules", json={**RULE, **body})
        assert (answer.status_code, faults(answer.json())) == (422, expected), body


async def test_a_field_that_a_rule_names_stays(service: Service) -> None:
    """Neither the field that a rule looks at nor the one it requires can be removed."""
    made = await service.create("Deals", NAME, SCORE, {"name": "other", "type": "text"}, title_template="{other}")
    await service.client.post(f"/pipelines/{made['id']}/rules", json=RULE)
    for name, at in (("name", "/rules/0/fields/0"), ("score", "/rules/0/when/field")):
        answer = await service.client.delete(f"/pipelines/{made['id']}/fields/{name}")
        assert (answer.status_code, {fault["pointer"] for fault in answer.json()["errors"]}) == (409, {at})


async def test_rules_are_the_business_of_who_may_change_the_pipeline(service: Service) -> None:
    """Another tenant sees no rules, and no stale version passes."""
    made = await service.create("Deals", NAME, SCORE)
    path = f"/pipelines/{made['id']}/rules"
    assert (await service.client.get(path, headers=service.user(tenant=new_id()))).status_code == 404
    stale = await service.client.post(path, json=RULE, headers={"If-Match": '"7"'})
    assert stale.status_code == 412


async def test_a_bad_name_of_a_field_is_told_beside_rules(service: Service) -> None:
    """A field that is added, planned or renamed by no good name is a fault of that name, where rules are judged too."""
    made = await service.create("Deals", NAME, SCORE)
    path = f"/pipelines/{made['id']}"
    assert (await service.client.post(f"{path}/rules", json=RULE)).status_code == 201
    for name in ("", "../etc", "a.b", "Score", "größe", "\ufffe"):
        field = {"name": name, "type": "text"}
        for at, pointer, body in (
            ("fields", "/name", field),
            ("schema/plan", "/fields/0/name", {"fields": [field]}),
            ("schema/plan", "/rename/name", {"rename": {"name": name}}),
        ):
            answer = await service.client.post(f"{path}/{at}", json=body)
            assert (answer.status_code, (pointer, "invalid_name") in faults(answer.json())) == (422, True), answer.text


async def test_a_plan_changes_no_more_than_a_pipeline_has(service: Service) -> None:
    """Of a hundred thousand names none is looked at."""
    made = await service.create("Deals", NAME)
    many = [f"x{i}" for i in range(100_000)]
    for given in ({"rename": dict.fromkeys(many, "y")}, {"remove": many}, {"fields": many}):
        answer = await service.client.post(f"/pipelines/{made['id']}/schema/plan", json=given)
        assert (answer.status_code, faults(answer.json())) == (422, {(f"/{next(iter(given))}", "invalid_value")})


async def test_no_number_of_a_version_is_too_large_to_be_refused(service: Service) -> None:
    """Versions that no definition can have are refused like other input, whatever their size."""
    made = await service.create("Deals", NAME)
    for version in (-1, 2**63, -(2**63) - 1, 10**300):
        answer = await service.client.post(f"/pipelines/{made['id']}/schema/rollback", json={"version": version})
        assert (answer.status_code, faults(answer.json())) == (422, {("/version", "invalid_value")})
        listed = await service.client.get(f"/pipelines/{made['id']}/versions", params={"cursor": str(version)})
        assert (listed.status_code, faults(listed.json())) == (422, {("/cursor", "invalid_value")})
    counted = await service.client.get(f"/pipelines/{made['id']}/versions?count=exact")
    assert (counted.json()["count"], len(counted.json()["items"])) == (1, 1)
