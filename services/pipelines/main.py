from litestar.types import ASGIApp, ControllerRouterHandler

from libs.common import settings
from libs.common.app import Platform, create_app, serve
from services.pipelines.consumers import persons, questions, records
from services.pipelines.routes.fields import FieldRoutes, field_types
from services.pipelines.routes.pipelines import PipelineRoutes
from services.pipelines.routes.relationship_types import RelationshipTypeRoutes
from services.pipelines.routes.rules import RuleRoutes
from services.pipelines.routes.schemas import SchemaRoutes, VersionRoutes
from services.pipelines.routes.templates import TemplateRoutes
from services.pipelines.routes.views import ViewRoutes
from services.pipelines.settings import Settings


def build(given: Settings) -> ASGIApp:
    """The service as an ASGI application."""
    platform = Platform("pipelines", given)

    async def answer_questions() -> None:
        questions.answer(platform)
        persons.serve(platform.bus, platform.database)
        records.listen(platform.bus, platform.database)

    routes: list[ControllerRouterHandler] = [
        SchemaRoutes,
        VersionRoutes,
        PipelineRoutes,
        FieldRoutes,
        field_types,
        RelationshipTypeRoutes,
        RuleRoutes,
        ViewRoutes,
        TemplateRoutes,
    ]
    return create_app(platform, routes, on_start=[answer_questions], idempotent=True)


def main() -> None:
    """Runs the service."""
    given = settings.of_process(Settings, "pipelines")
    serve(build(given), given)


if __name__ == "__main__":
    main()
