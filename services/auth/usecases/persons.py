"""What auth itself holds on a person."""

from typing import Any

import msgspec

from libs.common.clock import rfc3339
from libs.common.persons import PAGE, Page, Question
from services.auth.domain.audit import Entry, Kept
from services.auth.domain.people import User
from services.auth.storage import compliance, users
from services.auth.usecases.context import Context


async def contribute(context: Context, question: Question) -> Page:
    """The account, sessions and keys on the first page, then the audit log of the person."""
    user_id = question.user_id
    if user_id is None:
        return Page()
    async with context.database.tenant(question.tenant_id) as connection:
        items: list[dict[str, Any]] = []
        if question.cursor is None:
            user = await users.get(connection, question.tenant_id, user_id)
            items = [_account(user)] if user else []
            items += await compliance.holdings(connection, question.tenant_id, user_id)
        after = int(question.cursor or 0)
        found = await compliance.entries(connection, question.tenant_id, user_id, after, PAGE)
        told = await context.audit.revealed(connection, question.tenant_id, found)
    items += [_entry(kept) for kept in told]
    return Page(items, cursor=str(found[-1].seq) if len(found) == PAGE else None)


def _account(user: User) -> dict[str, Any]:
    return {
        "kind": "account", "id": str(user.id), "email": user.email, "name": user.name, "locale": user.locale,
        "status": user.status, "created_at": rfc3339(user.created_at), "roles": [str(role) for role in user.roles],
    }  # fmt: skip


def _entry(kept: Kept) -> dict[str, Any]:
    return {"kind": "audit_entry", **msgspec.to_builtins(msgspec.json.decode(kept.document, type=Entry))}
