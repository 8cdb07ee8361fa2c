from libs.common.ids import new_id
from libs.common.permissions import Grant
from tests.pipelines.conftest import NAME, Service


async def test_a_pipeline_is_made_and_read(service: Service) -> None:
    """What was posted comes back completed, with a version, a slug and a title of the first text field."""
    made = await service.create(
        "Große Deals", {"name": "amount", "type": "number"}, {"name": "first_name", "type": "text"}
    )
    assert (made["slug"], made["version"], made["title_template"]) == ("grosse-deals", 1, "{first_name}")
    assert made["schema_definition"]["fields"][1]["label"] == "First name"
    answer = await service.client.get(f"/pipelines/{made['id']}")
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == made
