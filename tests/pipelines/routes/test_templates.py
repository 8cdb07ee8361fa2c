"""Templates are whole, and applying one makes all of it once."""

import asyncio

import pytest

from libs.common.permissions import Grant
from services.pipelines.domain.templates import blueprints
from tests.pipelines.conftest import Service

SLUGS = ["crm", "projects", "recruiting", "support"]


def test_all_templates_are_there() -> None:
    """Each template is a file by its own name, and its relations lead to pipelines that come before."""
    assert list(blueprints()) == SLUGS
    for it in blueprints().values():
        before: set[str] = set()
        for pipeline in it.pipelines:
            targets = {field["target_pipeline"] for field in pipeline.fields if field["type"] == "relation"}
            assert targets <= before, (it.slug, pipeline.slug)
            before.add(pipeline.slug)
        assert {end for kind in it.relationship_types for end in (kind.source, kind.target)} <= before


@pytest.mark.parametrize("slug", SLUGS)
async def test_a_template_becomes_pipelines_with_views_and_rules(service: Service, slug: str) -> None:
    """What the template has is valid here, is made once however often it is applied, and stays as it was changed."""
    blueprint = blueprints()[slug]
    answers = await asyncio.gather(*(service.client.post(f"/pipeline-templates/{slug}/apply") for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200], [answer.text for answer in answers]
    first, second = sorted((answer.json() for answer in answers), key=lambda it: not it["pipelines"][0]["created"])
    assert [it["created"] for it in first["pipelines"] + first["relationship_types"]] == [True] * (
        len(blueprint.pipelines) + len(blueprint.relationship_types)
    )
    assert not any(it["created"] for it in second["pipelines"] + second["relationship_types"])
    assert [it["id"] for it in first["pipelines"]] == [it["id"] for it in second["pipelines"]]
    for it, expected in zip(first["pipelines"], blueprint.pipelines, strict=True):
        made = (await service.client.get(f"/pipelines/{it['id']}")).json()
        assert (made["slug"], made["name"]) == (expected.slug, expected.name)
        fields = (await service.client.get(f"/pipelines/{it['id']}/fields")).json()["items"]
        assert [field["name"] for field in fields] == [field["name"] for field in expected.fields]
        views = (await service.client.get(f"/pipelines/{it['id']}/views")).json()["items"]
        assert [view["name"] for view in views] == [view.name for view in expected.views]
        rules = (await service.client.get(f"/pipelines/{it['id']}/rules")).json()["items"]
        assert [rule["name"] for rule in rules] == [rule.name for rule in expected.rules]


async def test_templates_are_listed_and_take_rights(service: Service) -> None:
    """All are listed and read; who may not make pipelines applies none, and one that does not exist is not found."""
    listed = (await service.client.get("/pipeline-templates")).json()["items"]
    assert [it["slug"] for it in listed] == SLUGS
    one = (await service.client.get("/pipeline-templates/crm")).json()
    assert [it["slug"] for it in one["pipelines"]] == ["companies", "contacts", "deals"]
    reader = service.user(Grant("pipelines", ("read",)))
    assert (await service.client.post("/pipeline-templates/crm/apply", headers=reader)).status_code == 403
    assert (await service.client.post("/pipeline-templates/none/apply")).status_code == 404
