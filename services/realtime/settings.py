from libs.common.settings import DatabaseSettings


class Settings(DatabaseSettings, frozen=True, kw_only=True):
    """The bounds of sockets. Times are seconds, sizes bytes, rates frames a second."""

    authenticate_seconds: float = 10.0
    max_strangers: int = 2_000
    max_frame_bytes: int = 64 * 1024
    frame_rate: float = 100.0
    frame_burst: int = 200
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
    reconnect_spread_seconds: float = 10.0
