from tests.pipelines.conftest import Service


async def test_the_document_names_every_route_and_field_type(service: Service) -> None:
    """The OpenAPI document has each path, and a schema of each type of field."""
    document = (await service.client.get("http://test/openapi.json")).json()
    base = "/api/v1"
    assert set(document["paths"]) == {
        f"{base}/field-types",
        f"{base}/pipelines",
        f"{base}/pipelines/trash",
        f"{base}/pipelines/{{pipeline_id}}",
        f"{base}/pipelines/{{pipeline_id}}/clone",
        f"{base}/pipelines/{{pipeline_id}}/fields",
        f"{base}/pipelines/{{pipeline_id}}/fields/{{field}}",
        f"{base}/pipelines/{{pipeline_id}}/fields/trash",
        f"{base}/pipelines/{{pipeline_id}}/fields/{{field}}/restore",
        f"{base}/pipelines/{{pipeline_id}}/schema/apply",
        f"{base}/pipelines/{{pipeline_id}}/schema/plan",
        f"{base}/pipelines/{{pipeline_id}}/schema/rollback",
        f"{base}/pipelines/{{pipeline_id}}/versions",
        f"{base}/pipelines/{{pipeline_id}}/versions/{{version}}",
        f"{base}/pipelines/{{pipeline_id}}/json-schema",
        f"{base}/pipelines/{{pipeline_id}}/restore",
        f"{base}/pipelines/{{pipeline_id}}/rules",
        f"{base}/pipelines/{{pipeline_id}}/rules/{{rule_id}}",
        f"{base}/pipelines/{{pipeline_id}}/views",
        f"{base}/pipelines/{{pipeline_id}}/views/{{view_id}}",
        f"{base}/pipeline-templates",
        f"{base}/pipeline-templates/{{slug}}",
        f"{base}/pipeline-templates/{{slug}}/apply",
        f"{base}/relationship-types",
        f"{base}/relationship-types/{{type_id}}",
    }
    text = str(document["components"]["schemas"])
    assert all(name in text for name in ("TextField", "StageField", "RelationField", "CreatePipeline"))
