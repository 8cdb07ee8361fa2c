from typing import Annotated

from msgspec import Meta

from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """The bounds of sockets, and how webhooks are sent. Times are seconds, sizes bytes, rates frames a second.

    Of a socket `frame_rate` frames are taken a second; of all sockets of a user, of a tenant and of the node on this
    node as many frames and joins as `…_rate_per_…` say, and at once what may come in 20 seconds.
    `sealing_secret` encrypts the secrets of webhooks at rest. A webhook's delivery that fails is tried again after at
    most each of `webhook_retry_seconds`, in turn; a webhook that does nothing but fail for `webhook_failing_days` is
    disabled. A node sends to `webhooks_at_once` at a time, to none where that is 0. `webhook_local` allows addresses
    of this machine and of private networks, and http: for development alone. Names are asked of `dns_servers`
    (`host:port`, with commas), by default those of the system.
    """

    sealing_secret: Annotated[str, Meta(min_length=16)]
    webhook_retry_seconds: Annotated[str, Meta(pattern=r"^[0-9.]+(,[0-9.]+){0,19}$")] = (
        "5,300,1800,7200,18000,36000,50400,72000,86400"
    )
    webhook_failing_days: Annotated[float, Meta(gt=0)] = 5.0
    webhooks_at_once: Annotated[int, Meta(ge=0, le=1000)] = 50
    webhooks_at_once_per_tenant: Annotated[int, Meta(ge=1)] = 10
    webhook_seconds: Annotated[float, Meta(gt=0, le=60)] = 15.0
    webhook_connect_seconds: Annotated[float, Meta(gt=0, le=60)] = 5.0
    webhook_local: bool = False
    dns_servers: str | None = None
    digest_poll_seconds: Annotated[float, Meta(gt=0)] = 30.0

    authenticate_seconds: float = 10.0
    max_strangers: int = 2_000
    max_frame_bytes: int = 64 * 1024
    frame_rate: float = 100.0
    frame_burst: int = 200
    frame_rate_per_user: Annotated[float, Meta(gt=0)] = 1_000.0
    frame_rate_per_tenant: Annotated[float, Meta(gt=0)] = 10_000.0
    frame_rate_per_node: Annotated[float, Meta(gt=0)] = 20_000.0
    join_rate_per_user: Annotated[float, Meta(gt=0)] = 500.0
    join_rate_per_tenant: Annotated[float, Meta(gt=0)] = 2_000.0
    join_rate_per_node: Annotated[float, Meta(gt=0)] = 5_000.0
    max_sockets: int = 20_000
    max_sockets_per_tenant: int = 20_000
    max_sockets_per_user: int = 5_000
    max_subscriptions: int = 200
    queue_frames: int = 1_000
    queue_bytes: int = 4 * 1024 * 1024
    slow_reader_seconds: float = 5.0
    ping_seconds: float = 20.0
    ticket_seconds: int = 30
    presence_lease_seconds: float = 15.0
    presence_members: int = 100
    max_update_bytes: Annotated[int, Meta(ge=1024)] = 1024 * 1024
    max_document_bytes: Annotated[int, Meta(ge=1024)] = 2 * 1024 * 1024
    max_document_clients: Annotated[int, Meta(ge=1)] = 100
    document_text_seconds: Annotated[float, Meta(gt=0)] = 1.0
    document_text_latest_seconds: Annotated[float, Meta(gt=0)] = 5.0
    lock_lease_seconds: Annotated[float, Meta(gt=0, le=300)] = 15.0
    reconnect_spread_seconds: float = 10.0
