"""What realtime asks when only records can judge what a principal may see: several records at once."""

from uuid import UUID

import msgspec

from libs.common.app import Platform
from libs.common.errors import TooLarge
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.looking import look

MAX_RECORDS = 250


class RecordsQuestion(msgspec.Struct, frozen=True):
    """The records as the token's principal may see them."""

    token: str
    record_ids: list[UUID]


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.records`."""

    async def answer(question: RecordsQuestion) -> dict[str, msgspec.Raw]:
        if len(question.record_ids) > MAX_RECORDS:
            raise TooLarge(f"At most {MAX_RECORDS} records are asked for at once")
        principal, permissions = await platform.authenticate(question.token)
        caller = Caller(principal, permissions, catalog, platform.database)
        found = await look(caller, question.record_ids)
        return {str(record_id): msgspec.Raw(body.encode()) for record_id, body in found.items()}

    platform.bus.serve("rpc.records.records", RecordsQuestion, answer)
