from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.common.identity import Principal
from libs.common.permissions import Permissions
from libs.common.revocations import Revocations
from services.realtime.sockets.limits import Limits
from services.realtime.sockets.rates import Rates
from services.realtime.usecases.admission import Admission
from services.realtime.usecases.documents import Documents
from services.realtime.usecases.live import Live

Identify = Callable[[str], Awaitable[tuple[Principal, Permissions]]]


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of a socket stand on. `identify` gives the principal of a token and what it may do."""

    live: Live
    limits: Limits
    rates: Rates
    identify: Identify
    revocations: Revocations
    admission: Admission
    documents: Documents
