"""Webhooks: made, changed, ended, tried, and what was sent to them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock, outbox
from libs.common.bus import Bus
from libs.common.errors import Conflict, Fault, Forbidden, Gone, Invalid, NotFound
from libs.common.identity import Principal
from libs.common.ids import new_id
from libs.common.permissions import Action, Permissions
from libs.common.postgres import Connection, Database
from libs.common.sealing import Seal
from services.realtime.domain import events, signatures
from services.realtime.domain import webhooks as rules
from services.realtime.domain.sight import compile_sight
from services.realtime.domain.signatures import Secret
from services.realtime.domain.webhooks import BY_OWNER, MAX_WEBHOOKS, TEST, Webhook
from services.realtime.storage import deliveries, stream, users, webhooks
from services.realtime.storage.deliveries import Attempt, Delivery
from services.realtime.usecases import fitting
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.groups import READ, RECORDS
from services.realtime.usecases.owners import person_of
from services.realtime.usecases.posting import Poster
from services.realtime.usecases.replay import too_old
from services.realtime.usecases.sending import Sender

RESOURCE = "webhooks"


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the use cases of webhooks stand on; `local` allows addresses of the developer's own machine."""

    bus: Bus
    database: Database
    definitions: Definitions
    poster: Poster
    sender: Sender
    seal: Seal
    local: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what they may do."""

    principal: Principal
    permissions: Permissions

    def require(self, action: Action) -> None:
        """Raises Forbidden unless the caller may do that to webhooks."""
        self.permissions.require(action, RESOURCE)


class Wanted(msgspec.Struct, frozen=True):
    """A webhook to be."""

    url: str
    events: list[str]
    pipeline_id: UUID | None = None
    filter: Any = None
    description: str = ""


async def create(hooks: Hooks, caller: Caller, wanted: Wanted) -> tuple[Webhook, str]:
    """A new webhook of the caller's, and its secret, which is told this once."""
    caller.require("create")
    await _check(hooks, caller, wanted)
    principal, now, secret = caller.principal, clock.now(), signatures.make_secret()
    webhook_id = new_id()
    made = Webhook(
        id=webhook_id, url=wanted.url, events=tuple(wanted.events), pipeline_id=wanted.pipeline_id,
        filter=wanted.filter, description=wanted.description, state="active", reason=None, owner_id=principal.id,
        secrets=_sealed(hooks, webhook_id, (secret,)), failing_since=None, created_at=now, updated_at=now,
    )  # fmt: skip
    async with hooks.database.tenant(principal.tenant_id) as connection:
        await webhooks.lock_all(connection, principal.tenant_id)
        if await webhooks.count(connection, principal.tenant_id) >= MAX_WEBHOOKS:
            raise Conflict(f"An organization has at most {MAX_WEBHOOKS} webhooks", code="too-many-webhooks")
        await users.meet(connection, principal.tenant_id, person_of(principal))
        await webhooks.insert(connection, principal.tenant_id, made)
        await _announce(connection, caller, "created", made)
    return made, secret.text


async def page(hooks: Hooks, caller: Caller, after: UUID, limit: int) -> list[Webhook]:
    """The tenant's webhooks after an id."""
    caller.require("read")
    async with hooks.database.tenant(caller.principal.tenant_id) as connection:
        return await webhooks.page(connection, caller.principal.tenant_id, after, limit)


async def count(hooks: Hooks, caller: Caller) -> int:
    """How many webhooks the tenant has."""
    caller.require("read")
    async with hooks.database.tenant(caller.principal.tenant_id) as connection:
        return await webhooks.count(connection, caller.principal.tenant_id)


async def get(hooks: Hooks, caller: Caller, webhook_id: UUID) -> Webhook:
    """One of the tenant's webhooks."""
    caller.require("read")
    async with hooks.database.tenant(caller.principal.tenant_id) as connection:
        return await _found(connection, caller, webhook_id)


async def change(hooks: Hooks, caller: Caller, webhook_id: UUID, changes: dict[str, Any]) -> Webhook:
    """Changes a webhook, which is the caller's from then on: what goes there is judged by who chose where it goes."""
    caller.require("update")
    before = await get(hooks, caller, webhook_id)
    state = changes.pop("state", None)
    fields = {name: getattr(before, name) for name in Wanted.__struct_fields__} | changes
    wanted = Wanted(**{**fields, "events": list(fields["events"])})
    await _check(hooks, caller, wanted)
    principal, now = caller.principal, clock.now()
    async with hooks.database.tenant(principal.tenant_id) as connection:
        present = await _found(connection, caller, webhook_id, lock=True)
        after = msgspec.structs.replace(
            present, url=wanted.url, events=tuple(wanted.events), pipeline_id=wanted.pipeline_id, filter=wanted.filter,
            description=wanted.description, owner_id=principal.id, updated_at=now,
        )  # fmt: skip
        if state is not None:
            after = _in_state(after, state)
        await users.meet(connection, principal.tenant_id, person_of(principal))
        await webhooks.update(connection, principal.tenant_id, after)
        if after.state == "active":
            await deliveries.wake(connection, principal.tenant_id, webhook_id, 0)
        await _announce(connection, caller, "updated", after)
    hooks.sender.wake()
    return after


def _in_state(it: Webhook, state: str) -> Webhook:
    if state == "active":
        return msgspec.structs.replace(it, state="active", reason=None, failing_since=None)
    return msgspec.structs.replace(it, state="paused", reason=BY_OWNER)


async def delete(hooks: Hooks, caller: Caller, webhook_id: UUID) -> None:
    """Ends a webhook, with what waits for it and what is known of it."""
    caller.require("delete")
    async with hooks.database.tenant(caller.principal.tenant_id) as connection:
        webhook = await _found(connection, caller, webhook_id, lock=True)
        await webhooks.delete(connection, caller.principal.tenant_id, webhook_id)
        await _announce(connection, caller, "deleted", webhook)


async def rotate(hooks: Hooks, caller: Caller, webhook_id: UUID, overlap: timedelta) -> str:
    """A new secret; those before it sign as well for a while."""
    caller.require("update")
    now, new = clock.now(), signatures.make_secret()
    async with hooks.database.tenant(caller.principal.tenant_id) as connection:
        webhook = await _found(connection, caller, webhook_id, lock=True)
        present = msgspec.json.decode(hooks.seal.open(webhook.secrets, webhook_id.bytes), type=tuple[Secret, ...])
        sealed = _sealed(hooks, webhook_id, signatures.rotated(present, new, now, overlap))
        await webhooks.put_secrets(connection, caller.principal.tenant_id, webhook_id, sealed, now)
        await _announce(connection, caller, "updated", webhook)
    return new.text


async def test(hooks: Hooks, caller: Caller, webhook_id: UUID) -> Delivery:
    """Sends a message that is about nothing."""
    caller.require("update")
    tenant_id = caller.principal.tenant_id
    body = {"type": TEST, "timestamp": clock.rfc3339(clock.now()), "data": {"webhook_id": webhook_id}}
    async with hooks.database.tenant(tenant_id) as connection:
        _require_active(await _locked(connection, caller, webhook_id))
        delivery_id = await deliveries.add_test(connection, tenant_id, webhook_id, msgspec.json.encode(body).decode())
        made = await deliveries.get(connection, tenant_id, webhook_id, delivery_id)
    assert made is not None
    hooks.sender.wake()
    return made


async def replay(hooks: Hooks, caller: Caller, webhook_id: UUID, since: int) -> int:
    """Has all that happened after a position sent again, and tells up to which position."""
    caller.require("update")
    tenant_id = caller.principal.tenant_id
    bounds = await stream.bounds(hooks.bus)
    if since > bounds.last and await stream.ends_before(hooks.bus, since):
        raise Gone("The position is not one of this stream", code="position-unknown")
    if since + 1 < bounds.first:
        raise too_old()
    last = await stream.last(hooks.bus, tenant_id)
    async with hooks.database.tenant(tenant_id) as connection:
        _require_active(await _locked(connection, caller, webhook_id))
        if since < last:
            await deliveries.begin_replay(connection, tenant_id, webhook_id, since, last)
    hooks.sender.wake()
    return max(since, last)


async def log(
    hooks: Hooks, caller: Caller, webhook_id: UUID, before: UUID | None, state: str | None, limit: int
) -> tuple[list[Delivery], list[Attempt]]:
    """What was sent, or waits, the newest first; and the attempts at it."""
    caller.require("read")
    tenant_id = caller.principal.tenant_id
    async with hooks.database.tenant(tenant_id) as connection:
        await _found(connection, caller, webhook_id)
        found = await deliveries.page(connection, tenant_id, webhook_id, before, state, limit)
        return found, await deliveries.attempts(connection, tenant_id, [it.id for it in found])


async def count_log(hooks: Hooks, caller: Caller, webhook_id: UUID, state: str | None) -> int:
    """How much was sent, or waits."""
    caller.require("read")
    tenant_id = caller.principal.tenant_id
    async with hooks.database.tenant(tenant_id) as connection:
        await _found(connection, caller, webhook_id)
        return await deliveries.count(connection, tenant_id, webhook_id, state)


async def redeliver(hooks: Hooks, caller: Caller, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    """Sends one of the deliveries again, at once."""
    caller.require("update")
    tenant_id = caller.principal.tenant_id
    async with hooks.database.tenant(tenant_id) as connection:
        _require_active(await _locked(connection, caller, webhook_id))
        present = await deliveries.get(connection, tenant_id, webhook_id, delivery_id)
        if present is None:
            raise NotFound
        if present.state == "pending" and present.next_at is None:
            raise Conflict("An earlier delivery of the same record comes first", code="not-its-turn")
        await deliveries.redeliver(connection, tenant_id, webhook_id, present)
        made = await deliveries.get(connection, tenant_id, webhook_id, delivery_id)
    assert made is not None
    hooks.sender.wake()
    return made


async def _check(hooks: Hooks, caller: Caller, wanted: Wanted) -> None:
    """Raises what keeps the caller from having such a webhook."""
    if caller.principal.kind != "user":
        raise Forbidden("Only people own webhooks", code="people-only")
    if caller.principal.actor is not None:
        raise Forbidden("Nobody makes or changes webhooks in another's name", code="impersonating")
    faults = [
        *rules.check_url(wanted.url, local=hooks.local),
        *rules.check_events(wanted.events),
        *rules.check_description(wanted.description),
    ]
    if not faults and await hooks.poster.refuses(wanted.url):
        faults = [Fault("/url", "private_address", "The address must be a public one")]
    if faults:
        raise Invalid(errors=faults)
    await _check_filter(hooks, caller, wanted)


async def _check_filter(hooks: Hooks, caller: Caller, wanted: Wanted) -> None:
    principal, permissions = caller.principal, caller.permissions
    if wanted.pipeline_id is None:
        if wanted.filter:
            raise Invalid(errors=[Fault("/pipeline_id", "required", "A filter is one of a pipeline's records")])
        return
    permissions.require(READ, RECORDS, wanted.pipeline_id)
    definition = await hooks.definitions.get(principal.tenant_id, wanted.pipeline_id)
    if definition.deleted:
        raise NotFound
    grants = permissions.alternatives(READ, RECORDS, definition.id)
    sight = compile_sight(grants, definition, str(principal.id))
    if sight.asks:
        raise Forbidden("Your rule for this pipeline looks at other records", code="rule-reaches")
    if wanted.filter:
        await fitting.require(hooks.definitions, wanted.filter, definition, principal, permissions)


async def _found(connection: Connection, caller: Caller, webhook_id: UUID, *, lock: bool = False) -> Webhook:
    found = await webhooks.get(connection, caller.principal.tenant_id, webhook_id, lock=lock)
    if found is None:
        raise NotFound
    return found


async def _locked(connection: Connection, caller: Caller, webhook_id: UUID) -> Webhook:
    if await deliveries.lock(connection, caller.principal.tenant_id, webhook_id) is None:
        raise NotFound
    return await _found(connection, caller, webhook_id)


def _require_active(webhook: Webhook) -> None:
    if webhook.state != "active":
        raise Conflict("The webhook is not active", code="webhook-not-active")


async def _announce(connection: Connection, caller: Caller, verb: str, webhook: Webhook) -> None:
    event = events.webhook(verb, webhook, caller.principal.id)
    await outbox.record(connection, caller.principal.tenant_id, [event])


def _sealed(hooks: Hooks, webhook_id: UUID, secrets: tuple[Secret, ...]) -> bytes:
    return hooks.seal.close(msgspec.json.encode(secrets), webhook_id.bytes)
