from dataclasses import dataclass
from uuid import UUID

from redis.asyncio import Redis

from libs.common.bus import Bus
from services.realtime.usecases.definitions import Definitions
from services.realtime.usecases.gathering import Gathering
from services.realtime.usecases.hubs import Hubs
from services.realtime.usecases.locks import Locks
from services.realtime.usecases.metrics import LiveMetrics
from services.realtime.usecases.places import Places
from services.realtime.usecases.presence import Presence
from services.realtime.usecases.registry import Registry


@dataclass(frozen=True, slots=True)
class Live:
    """What the use cases of sockets stand on."""

    node: str
    bus: Bus
    redis: "Redis"
    definitions: Definitions
    places: Places
    states: Gathering[UUID]
    looks: Gathering[str]
    hubs: Hubs
    presence: Presence
    locks: Locks
    registry: Registry
    metrics: LiveMetrics
