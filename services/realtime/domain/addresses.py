"""Which addresses of the network a webhook may be sent to: those of the public Internet."""

from libs.common.networks import is_public

__all__ = ["AddressRefused", "is_public"]


class AddressRefused(OSError):
    """A connection to an address that webhooks may not reach."""
