"""The report on a request as a file: a ZIP of its pieces, and a manifest of their digests that is signed.

`manifest.jws` is the manifest with its signature (JWS compact, EdDSA, RFC 8037), made when the file is fetched, by the
key that signs then; `/.well-known/report-keys.json` has it for good. Whoever checks it and the digests knows what was
told.
"""

import zipfile
from collections.abc import AsyncIterator
from typing import IO, cast
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import Conflict
from services.auth.domain import compliance as rules
from services.auth.domain.compliance import Job
from services.auth.usecases import compliance
from services.auth.usecases.context import Context


class _Sink:
    """What was written to the archive and not yet sent."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Takes what the archive writes."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        """What has come since the last time."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


async def archive(context: Context, tenant_id: UUID, job: Job) -> AsyncIterator[bytes]:
    """The file, in pieces; refused while the request is under way."""
    if job.state != "done":
        raise Conflict("The report is not done yet", code="not-done", retry_after=1)
    return _archive(context, tenant_id, job)


async def _archive(context: Context, tenant_id: UUID, job: Job) -> AsyncIterator[bytes]:
    sink = _Sink()
    files: dict[str, str] = {}
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_DEFLATED) as file:
        async for name, document in compliance.parts(context, tenant_id, job.id):
            file.writestr(name, document)
            files[name] = rules.digest(document)
            yield sink.take()
        manifest = msgspec.json.encode(_manifest(tenant_id, job, files))
        signer = await context.keys.signer()
        file.writestr("manifest.json", manifest)
        file.writestr("manifest.jws", signer.sign_document(manifest))
    yield sink.take()


def _manifest(tenant_id: UUID, job: Job, files: dict[str, str]) -> dict[str, object]:
    return {
        "kind": job.kind, "id": job.id, "tenant_id": tenant_id, "user_id": job.user_id, "email": job.email,
        "requested_by": job.requested_by, "requested_at": clock.rfc3339(job.requested_at),
        "finished_at": clock.rfc3339(job.finished_at) if job.finished_at else None, "summary": job.summary,
        "sha256": files,
    }  # fmt: skip
