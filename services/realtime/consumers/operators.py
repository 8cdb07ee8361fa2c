"""What operators ask over NATS, by the `millrace` command."""

import msgspec

from libs.common.bus import Bus
from libs.common.postgres import Database
from libs.common.sealing import START, After, Resealed
from services.realtime.usecases import resealing


class Reseal(msgspec.Struct):
    """From where to go on."""

    after: After = START


def serve(bus: Bus, database: Database, secret: str) -> None:
    """Answers operators."""

    async def reseal(question: Reseal) -> Resealed:
        return await resealing.step(database, secret, question.after)

    bus.serve("rpc.realtime.admin.reseal", Reseal, reseal)
