"""What a tenant that is gone leaves outside of tables."""

from pathlib import Path
from urllib.parse import urlsplit

from libs.common.purge import Tenant
from tests.records.routes.test_exports import filled
from tests.records.support import Service
from tests.support.waiting import eventually


async def test_the_objects_of_a_tenant_go_with_it(service: Service) -> None:
    """The result of an export lies in the store until the tenant ends."""
    store = Path(urlsplit(service.files_url).path)

    def objects() -> list[Path]:
        return [path for path in store.rglob("*") if path.is_file() and str(service.tenant_id) in str(path)]

    made = await service.client.post(f"/pipelines/{await filled(service)}/exports", {"format": "csv"})
    assert made.status_code == 202, made.text

    async def kept() -> bool:
        return bool(objects())

    async def gone() -> bool:
        return not objects()

    await eventually(kept)
    await service.definitions.announce(
        service.tenant_id, "auth.tenant.deleted", service.tenant_id, Tenant(service.tenant_id)
    )
    await eventually(gone)
