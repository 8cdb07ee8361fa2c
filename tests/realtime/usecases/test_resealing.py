"""Another `SEALING_SECRET` takes the place of an old one, which the secrets of webhooks need no longer."""

from uuid import UUID

import asyncpg
import httpx
import msgspec
import pytest
from standardwebhooks import WebhookVerificationError

from libs.common.errors import Unauthenticated
from libs.common.ids import new_id
from libs.common.sealing import START, After, Resealed, Seal
from services.realtime.domain import unsubscribing
from services.realtime.domain.unsubscribing import Unsubscribing
from services.realtime.settings import Settings
from services.realtime.usecases import resealing
from tests.realtime.receiver import Taken, receiving
from tests.realtime.support import World, running_node
from tests.support.postgres import Database

NEW = "another sealing secret of tests"


async def reseal(world: World) -> list[int]:
    """How many were sealed anew in each batch, asked as operators ask."""
    after: After | None = START
    told = []
    while after is not None:
        answer = await world.bus.request("rpc.realtime.admin.reseal", {"after": after}, Resealed, seconds=60)
        assert (answer.unreadable, answer.mark) == (0, Seal(NEW, "webhook secrets").mark)
        told.append(answer.resealed)
        after = answer.after
    return told


async def test_after_resealing_the_old_secret_is_not_needed(
    settings: Settings, world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made with the old one, sealed anew in batches, once; a node that has the new one alone signs as before."""
    monkeypatch.setattr(resealing, "BATCH", 2)
    old, made = settings.sealing_secret, []
    async with receiving() as receiver:
        async with running_node(settings) as node:
            for _ in range(3):
                headers = {"Authorization": f"Bearer {world.token()}"}
                async with httpx.AsyncClient(base_url=f"{node.url}/api/v1", headers=headers) as api:
                    answer = await api.post("/webhooks", json={"url": receiver.url(), "events": ["*"]})
                    assert answer.status_code == 201, answer.text
                    made.append(answer.json())
        async with running_node(msgspec.structs.replace(settings, sealing_secret=f"{NEW}\n{old}")):
            assert sum(await reseal(world)) >= 3
            assert sum(await reseal(world)) == 0
        admin = await asyncpg.connect(database.admin_dsn)
        kept = await admin.fetch("select id, secrets from realtime.webhooks where tenant_id = $1", world.tenant)
        await admin.close()
        assert {UUID(webhook["id"]) for webhook in made} == {row["id"] for row in kept}
        assert all(Seal(NEW, "webhook secrets").open(row["secrets"], row["id"].bytes) for row in kept)
        async with running_node(msgspec.structs.replace(settings, sealing_secret=NEW)):
            await world.create(world.pipeline(), name="Ann")
            for message in await receiver.got(3):
                assert any(_verifies(message, webhook["secret"]) for webhook in made)


def _verifies(message: Taken, secret: str) -> bool:
    try:
        message.verify(secret)
    except WebhookVerificationError:
        return False
    return True


def test_links_of_mails_are_good_as_long_as_their_secret_is_there() -> None:
    """Signed before another took its place, a link ends mails still, and no longer when the old one is gone."""
    link = Unsubscribing(new_id(), new_id(), None)
    token = link.token(Seal("the old secret", "unsubscribing").digest)
    assert unsubscribing.read(token, Seal(f"{NEW}\nthe old secret", "unsubscribing").digests) == link
    with pytest.raises(Unauthenticated):
        unsubscribing.read(token, Seal(NEW, "unsubscribing").digests)
