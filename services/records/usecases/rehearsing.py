"""Dry runs of imports: what one step would write is taken back, so what only one record may have is kept beside."""

from collections.abc import Mapping
from hashlib import blake2b
from uuid import UUID

from libs.common.errors import Fault
from libs.common.postgres import Connection
from services.records.domain.operations import Outcome
from services.records.domain.pipelines import Pipeline, unique_key
from services.records.domain.records import Record
from services.records.storage import imports
from services.records.usecases.claiming import not_unique

MAX_CLAIMS = 1_000_000
"""Values that are kept of one run; what comes after that many is compared with these alone."""
_DIGEST = 16


class Rehearsal:
    """What becomes of rows when those of earlier steps are taken into account."""

    def __init__(self) -> None:
        self.refused: dict[int, list[Fault]] = {}
        self.updated: set[int] = set()
        self.claimed: dict[bytes, UUID] = {}

    def take(
        self, number: int, record: Record, claims: Mapping[str, bytes], known: Mapping[bytes, UUID], by: str
    ) -> None:
        """Lets a row's record have its values, unless one of an earlier step has one. By the value of `by` it is that.

        Rows of the same step were written beside each other, so what they take and set free is known to be right.
        """
        present = known.get(claims[by]) if by in claims else None
        holder = present or record.id
        taken = [name for name, digest in claims.items() if known.get(digest, holder) != holder]
        if taken:
            self.refused[number] = [not_unique(name) for name in taken]
            return
        if present is not None:
            self.updated.add(number)
        self.claimed |= {digest: holder for digest in claims.values() if digest not in known}


async def rehearse(
    connection: Connection, tenant_id: UUID, job_id: UUID, pipeline: Pipeline, by: str | None,
    outcomes: Mapping[int, Outcome], room: int,
) -> Rehearsal:  # fmt: skip
    """Compares the rows of a step that would be written with those of earlier steps, and notes up to `room` values."""
    claims = {number: _claims(pipeline, it.record) for number, it in outcomes.items() if it.record and not it.error}
    digests = {digest for found in claims.values() for digest in found.values()}
    known = await imports.claims(connection, tenant_id, job_id, digests) if digests else {}
    rehearsal = Rehearsal()
    for number, found in claims.items():
        record = outcomes[number].record
        if record is not None:
            rehearsal.take(number, record, found, known, by or "")
    kept = dict(list(rehearsal.claimed.items())[: max(0, room)])
    await imports.claim(connection, tenant_id, job_id, kept)
    rehearsal.claimed = kept
    return rehearsal


def _claims(pipeline: Pipeline, record: Record) -> dict[str, bytes]:
    given = ((name, record.data[name]) for name in pipeline.unique if record.data.get(name) is not None)
    return {
        name: blake2b(f"{name}\0{unique_key(pipeline.fields[name], value)}".encode(), digest_size=_DIGEST).digest()
        for name, value in given
    }
