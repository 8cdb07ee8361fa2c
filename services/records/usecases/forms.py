"""Public forms: whoever has the address makes records in the name of the form's owner, one each time it is opened."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from libs.common import clock
from libs.common.errors import AppError, Conflict, Fault, Gone, Invalid, NotFound
from libs.common.ids import NIL
from services.records.domain import fields, nonces
from services.records.domain.links import FormSettings, form_faults, form_schema, hash_of, lacking, new_token
from services.records.domain.operations import Create
from services.records.domain.origin import CURRENT, Origin
from services.records.domain.reach import Reach
from services.records.storage import links, records
from services.records.storage.links import Link
from services.records.usecases.caller import Caller
from services.records.usecases.links import Opened, check_end, make, reached, require_person, shareable
from services.records.usecases.writing import Writer

THANK_YOU = "Thank you"


class _Question(msgspec.Struct):
    tenant_id: UUID
    pipeline_id: UUID


class Form(msgspec.Struct, frozen=True):
    """A form with what is known of its link."""

    link: Link
    settings: FormSettings


class Blank(msgspec.Struct, frozen=True):
    """A form to be filled in: `schema` is JSON Schema (2020-12) of `data`, `nonce` comes back with the answer.

    What is called `trap` is not shown to people: whoever fills it in is none.
    """

    name: str
    description: str | None
    schema: dict[str, Any]
    nonce: str
    trap: str
    closes_at: str | None


TRAP = "website"


async def create(caller: Caller, pipeline_id: UUID, given: Mapping[str, Any], closes_at: datetime | None) -> Form:
    """A new form; its owner may make and share records."""
    settings = FormSettings(token=new_token(), secret=new_token(), **given)
    await caller.judged(pipeline_id, lambda reach: _check(reach, settings))
    link, _ = await make(caller, "form", pipeline_id, None, settings, closes_at, settings.token)
    return Form(link, settings)


async def change(caller: Caller, pipeline_id: UUID, form_id: UUID, given: Mapping[str, Any]) -> Form:
    """Changes what is given of a form, which from now on is the caller's."""
    require_person(caller)
    old = await find(caller, pipeline_id, form_id)
    rest = {name: value for name, value in given.items() if name != "closes_at"}
    settings = msgspec.structs.replace(old.settings, **rest)
    await caller.judged(pipeline_id, lambda reach: _check(reach, settings))
    closes_at = given.get("closes_at", old.link.expires_at)
    async with caller.database.tenant(caller.tenant_id) as connection:
        if given.get("closes_at") is not None:
            await check_end(connection, closes_at, "/closes_at")
        text = msgspec.json.encode(settings).decode()
        if not await links.change(connection, caller.tenant_id, form_id, text, caller.principal.id, closes_at):
            raise NotFound("There is no such form")
    return await find(caller, pipeline_id, form_id)


async def find(caller: Caller, pipeline_id: UUID, form_id: UUID) -> Form:
    """A form by its id, for who may share records of its pipeline."""
    shareable(await caller.reach(pipeline_id))
    async with caller.database.tenant(caller.tenant_id) as connection:
        link = await links.get(connection, caller.tenant_id, pipeline_id, "form", form_id)
    if link is None or link.revoked_at is not None:
        raise NotFound("There is no such form")
    return form_of(link)


def form_of(link: Link) -> Form:
    """The form of a link."""
    return Form(link, msgspec.json.decode(link.settings, type=FormSettings))


async def blank(it: Opened) -> Blank:
    """The form, to be filled in."""
    await _open(it)
    settings = form_of(it.link).settings
    question = _Question(it.owner.tenant_id, it.link.pipeline_id)
    schema = await it.owner.catalog.ask("rpc.pipelines.json_schema", question, dict[str, Any])
    closes_at = None if it.link.expires_at is None else clock.rfc3339(it.link.expires_at)
    nonce = nonces.issue(settings.secret, clock.now().timestamp())
    return Blank(settings.name, settings.description, form_schema(schema, settings), nonce, TRAP, closes_at)


async def send(it: Opened, data: Mapping[str, object], nonce: str, trap: str | None) -> str:
    """Makes a record of what was filled in, once for each nonce; what is said then. Who sends a value that another
    record has hears the same, so that nobody learns what is there.
    """
    settings = form_of(it.link).settings
    thanks = settings.thank_you or THANK_YOU
    await _open(it)
    _check_nonce(settings, nonce)
    if trap:
        return thanks
    CURRENT.set(Origin("form", id=it.link.id))

    async def work(reach: Reach) -> None:
        given = {name: value for name, value in data.items() if value is not None}
        if faults := lacking(settings, given):
            known = {name: value for name, value in given.items() if name in settings.fields}
            raise Invalid(errors=[*faults, *fields.checked(reach.pipeline, known)[1]])
        async with it.owner.database.tenant(it.owner.tenant_id) as connection:
            # What is noted is the form's own, so that no operation of its owner has the same name.
            by = msgspec.structs.replace(it.owner.principal, id=it.link.id)
            operation = hash_of(nonce).hex()
            if await records.begin_operation(connection, by, operation, NIL, it.owner.now) is None:
                await Writer(it.owner, reach, connection).one(Create({**given, **settings.presets}))

    try:
        await it.owner.settled(it.link.pipeline_id, work)
    except Invalid as error:
        if {fault.code for fault in error.errors} != {"not_unique"} or _foreign(error, settings):
            raise _told(error, settings) from None
    return thanks


def _check(reach: Reach, settings: FormSettings) -> None:
    shareable(reach)
    masks = [a.writable for a in reach.require("create").alternatives]
    writable = [n for n in reach.pipeline.fields if any(mask is None or n in mask for mask in masks)]
    if faults := form_faults(reach.pipeline, settings, writable):
        raise Invalid("The form does not fit its pipeline", errors=faults)
    faults = fields.checked(reach.pipeline, settings.presets)[1]
    if faults:
        raise Invalid(errors=[Fault(f"/presets{f.pointer.removeprefix('/data')}", f.code, f.detail) for f in faults])


async def _open(it: Opened) -> Reach:
    reach = await reached(it)
    try:
        shareable(reach)
        reach.require("create")
    except AppError:
        raise Gone("The form is closed", code="form-closed") from None
    return reach


def _check_nonce(settings: FormSettings, nonce: str) -> None:
    age = nonces.age(settings.secret, nonce, clock.now().timestamp())
    if age is None or age > nonces.SECONDS:
        raise Invalid(errors=[Fault("/nonce", "invalid_nonce", "Open the form again")])
    if age < settings.min_seconds:
        raise Conflict("That was quick: wait for a moment and send it again", code="too-quick")


def _told(error: Invalid, settings: FormSettings) -> AppError:
    """What a stranger may be told: faults of what they were asked for."""
    own = [fault for fault in error.errors if fault.code != "not_unique"]
    if _foreign(error, settings) or not own:
        return Conflict("The form does not fit its pipeline any more", code="form-outdated")
    return Invalid(errors=own)


def _foreign(error: Invalid, settings: FormSettings) -> bool:
    """Whether anything else is wrong than what a stranger was asked for."""
    return any(_name(fault) not in settings.fields and fault.code != "unknown_field" for fault in error.errors)


def _name(fault: Fault) -> str:
    return fault.pointer.removeprefix("/data/").partition("/")[0]
