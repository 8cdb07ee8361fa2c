"""How a change is told: the frame of a channel, and the item of the change feed."""

import msgspec

from services.realtime.domain.changes import Change
from services.realtime.domain.channels import Channel
from services.realtime.domain.messages import FieldUpdated, Person, RecordMessage, encode
from services.realtime.domain.sight import Kind, Mask, Sight, Verdict

_encode = msgspec.json.Encoder().encode


class _Shown(msgspec.Struct):
    data: dict[str, msgspec.Raw] = {}


def record(change: Change, verdict: Verdict, sight: Sight) -> msgspec.Raw:
    """The record as it may be shown; of one that left only where it was."""
    if verdict.kind == "record_left":
        return place(change)
    if verdict.mask.fields is None:
        return change.record
    return msgspec.Raw(_encode(_masked(change, verdict.mask, sight.titled(verdict.mask))))


def place(change: Change) -> msgspec.Raw:
    """Of a record that may not be shown: which one it is."""
    return msgspec.Raw(_encode({"id": change.head.id, "pipeline_id": change.head.pipeline_id}))


def _masked(change: Change, mask: Mask, titled: bool) -> dict[str, object]:
    shown: dict[str, object] = dict(change.columns)
    if not titled:
        shown["title"] = ""
    shown["data"] = {name: value for name, value in change.values.items() if mask.covers(name)}
    return shown


def changed(change: Change, verdict: Verdict) -> list[str]:
    """The names of the changed fields that may be read."""
    if verdict.kind == "record_left":
        return []
    return [name for name in change.changed if verdict.mask.covers(name)]


def frame(change: Change, verdict: Verdict, sight: Sight, channel: str) -> str:
    """The frame of a change in a channel."""
    shown = record(change, verdict, sight)
    return encode(RecordMessage(verdict.kind, channel, change.seq, shown, changed(change, verdict)))


def fields_of(shown: msgspec.Raw) -> frozenset[str]:
    """The fields of a record that another service showed."""
    return frozenset(msgspec.json.decode(shown, type=_Shown).data)


def asked(change: Change, shown: msgspec.Raw, kind: Kind, channel: Channel) -> tuple[str, bool]:
    """The frame of a change with the record as another service showed it; whether its maker knows it already."""
    mask = Mask(fields_of(shown))
    verdict = Verdict(kind, mask)
    if channel.kind == "record" and (text := field_update(change, verdict, channel.name)):
        return text, True
    return encode(RecordMessage(kind, channel.name, change.seq, shown, changed(change, verdict))), False


def field_update(change: Change, verdict: Verdict, channel: str) -> str | None:
    """The frame of a change that one `field_update` made, for those who may read the field."""
    if change.operation_id is None or verdict.kind != "record_updated" or len(change.changed) != 1:
        return None
    name = change.changed[0]
    if not verdict.mask.covers(name):
        return None
    return encode(
        FieldUpdated(
            channel=channel,
            record_id=change.head.id,
            field=name,
            value=change.values.get(name, msgspec.Raw(b"null")),
            version=change.head.version,
            operation_id=change.operation_id,
            user=Person(change.actor.id, change.actor.name) if change.actor else None,
            seq=change.seq,
        )
    )
