"""How fast frames and joins may come: of one user, of one tenant, and to this node, over all their sockets."""

from collections import OrderedDict
from uuid import UUID

from libs.common.errors import RateLimited
from libs.common.identity import Principal
from services.realtime.sockets.bucket import Bucket
from services.realtime.sockets.limits import Limits

BURST_SECONDS = 20
"""A burst is as much as may come in so many seconds: a crowd that comes back at once is let in."""
REMEMBERED = 50_000

Whose = UUID | tuple[UUID, UUID]


class Rate:
    """The buckets of one kind of thing; who was not seen for long begins anew."""

    def __init__(self, user: float, tenant: float, node: float) -> None:
        self._user = user
        self._tenant = tenant
        self._node = _bucket(node)
        self._buckets: OrderedDict[Whose, Bucket] = OrderedDict()

    def take(self, principal: Principal) -> bool:
        """Whether a principal may do it once more now."""
        user = self._of((principal.tenant_id, principal.id), self._user)
        return user.take() and self._of(principal.tenant_id, self._tenant).take() and self._node.take()

    def _of(self, whose: Whose, rate: float) -> Bucket:
        found = self._buckets.get(whose)
        if found is None:
            found = self._buckets[whose] = _bucket(rate)
            if len(self._buckets) > REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(whose)
        return found


class Rates:
    """The rates of a node's sockets. A frame over them is refused, and the socket stays."""

    def __init__(self, limits: Limits) -> None:
        self._frames = Rate(limits.frame_rate_per_user, limits.frame_rate_per_tenant, limits.frame_rate_per_node)
        self._joins = Rate(limits.join_rate_per_user, limits.join_rate_per_tenant, limits.join_rate_per_node)

    def frame(self, principal: Principal) -> None:
        """Counts a frame; raises RateLimited."""
        if not self._frames.take(principal):
            raise RateLimited("Frames come too fast", code="too-many-frames", retry_after=1)

    def join(self, principal: Principal) -> None:
        """Counts a subscription that is asked for; raises RateLimited."""
        if not self._joins.take(principal):
            raise RateLimited("Channels are joined too fast", code="too-many-joins", retry_after=1)


def _bucket(rate: float) -> Bucket:
    return Bucket(rate, max(1, int(rate * BURST_SECONDS)))
