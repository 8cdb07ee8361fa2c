"""What realtime has to know of a tenant."""

import msgspec

from libs.common.errors import Forbidden
from libs.common.networks import is_within


class Tenant(msgspec.Struct, frozen=True):
    """A tenant as auth tells of it; one that is gone has no status to tell. No `addresses` allow all."""

    status: str = "deleted"
    time_zone: str = "UTC"
    addresses: tuple[str, ...] = ()

    def refusal(self, address: str) -> Forbidden | None:
        """Why sockets from an address are not served, if they are not."""
        if self.status != "active":
            return Forbidden("The organization is not active", code="tenant-inactive")
        if self.addresses and not is_within(address, self.addresses):
            return Forbidden("The organization does not allow this address", code="address-not-allowed")
        return None
