"""Questions that no index answers, on a pipeline that is too large for them."""

import asyncpg
import pytest

from tests.records.support import records_service
from tests.support.postgres import Database

pytestmark = pytest.mark.integration

FILL = """
insert into records.records (tenant_id, id, pipeline_id, version, title, data, created_at, created_by, updated_at,
    updated_by)
select $1, uuidv7(), $2, 1, '', jsonb_build_object('notes', repeat(md5(n::text), 40), 'code', n), now(), $1, now(), $1
from generate_series(1, 40000) n
"""


async def test_what_takes_too_long_is_refused_with_a_hint(database: Database, nats_url: str, redis_url: str) -> None:
    """A filter or a group without an index ends at the statement's timeout, names the field, and leaves all else be."""
    async with records_service(database, nats_url, redis_url, statement_seconds=0.15) as service:
        pipeline = service.pipeline({"name": "notes", "type": "textarea"}, {"name": "code", "type": "number"})
        await service.client.get(f"/pipelines/{pipeline}/records")
        admin = await asyncpg.connect(database.admin_dsn)
        await admin.execute("alter table records.records disable trigger user")
        await admin.execute(FILL, service.tenant_id, pipeline)
        await admin.close()
        records = f"/pipelines/{pipeline}/records"
        filtered = await service.client.call("GET", f"{records}?filter[notes][icontains]=nothing+like+it")
        grouped = await service.client.call("GET", f"{records}/aggregate?group_by=notes")
        plain = await service.client.call("GET", f"{records}?limit=1")
    for answer in (filtered, grouped):
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/statement-timeout"), answer.text
        assert "'notes' has no index" in answer.json()["detail"]
        assert int(answer.headers["retry-after"]) > 0
    assert len(plain.json()["items"]) == 1
