"""What realtime asks about fields that are edited as shared documents."""

from uuid import UUID

import msgspec

from libs.common.app import Platform
from libs.common.identity import Actor, Principal, PrincipalKind
from services.records.domain.origin import CURRENT, Origin
from services.records.usecases.caller import Caller
from services.records.usecases.catalog import Catalog
from services.records.usecases.documents import Opened, Text, open_document, write_document

NIL = UUID(int=0)


class OpenQuestion(msgspec.Struct, frozen=True):
    """The field that the token's principal wants to edit or follow."""

    token: str
    record_id: UUID
    field: str


class Editor(msgspec.Struct, frozen=True):
    """Who edited last, and who acted in their name."""

    id: UUID
    kind: PrincipalKind
    name: str
    roles: tuple[UUID, ...]
    actor: Actor | None = None


class TextQuestion(Text, frozen=True, kw_only=True):
    """A text to be written with what its editor's roles allow now."""

    tenant_id: UUID
    by: Editor


class Written(msgspec.Struct, frozen=True):
    """What became of it: written, older, trashed or gone."""

    state: str


def serve(platform: Platform, catalog: Catalog) -> None:
    """Answers `rpc.records.document` and `write_document`."""

    async def opened(question: OpenQuestion) -> Opened:
        principal, permissions = await platform.authenticate(question.token)
        caller = Caller(principal, permissions, catalog, platform.database)
        return await open_document(caller, question.record_id, question.field)

    async def write(question: TextQuestion) -> Written:
        CURRENT.set(Origin("socket"))
        principal = _principal(question.tenant_id, question.by)
        permissions = await platform.roles.permissions(principal)
        caller = Caller(principal, permissions, catalog, platform.database)
        return Written(await write_document(caller, question))

    platform.bus.serve("rpc.records.document", OpenQuestion, opened)
    platform.bus.serve("rpc.records.write_document", TextQuestion, write)


def _principal(tenant_id: UUID, by: Editor) -> Principal:
    return Principal(
        tenant_id=tenant_id, id=by.id, kind=by.kind, session_id=NIL, name=by.name, roles=by.roles, issued_at=0.0,
        expires_at=0.0, actor=by.actor,
    )  # fmt: skip
