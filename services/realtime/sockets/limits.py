import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of sockets, and of those that have yet to authenticate. Units as in the settings."""

    authenticate_seconds: float
    max_strangers: int
    max_frame_bytes: int
    frame_rate: float
    frame_burst: int
    frame_rate_per_user: float
    frame_rate_per_tenant: float
    frame_rate_per_node: float
    join_rate_per_user: float
    join_rate_per_tenant: float
    join_rate_per_node: float
    max_subscriptions: int
    queue_frames: int
    queue_bytes: int
    slow_reader_seconds: float
    reconnect_spread_seconds: float
