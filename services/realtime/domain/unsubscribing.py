"""Links that end a person's mails without signing in (RFC 8058): what they name, signed."""

import base64
import binascii
import hmac
from collections.abc import Callable
from uuid import UUID

import msgspec

from libs.common.errors import Unauthenticated
from services.realtime.domain.notifications import KINDS, NoticeKind

_DIGEST_BYTES = 32

Digest = Callable[[bytes], bytes]
Digests = Callable[[bytes], tuple[bytes, ...]]


class Unsubscribing(msgspec.Struct, frozen=True):
    """Whose mails end, of which kind; none is all."""

    tenant_id: UUID
    user_id: UUID
    kind: NoticeKind | None = None

    def token(self, digest: Digest) -> str:
        """What the link carries."""
        raw = self.tenant_id.bytes + self.user_id.bytes + (self.kind or "").encode()
        return base64.urlsafe_b64encode(digest(raw) + raw).decode().rstrip("=")


def read(token: str, digests: Digests) -> Unsubscribing:
    """What a link names, signed with any of the secrets; anything else is refused."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (ValueError, binascii.Error):
        raise _bad() from None
    signature, named = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if len(named) < 32 or not any(hmac.compare_digest(signature, it) for it in digests(named)):
        raise _bad()
    text = named[32:].decode()
    kind = next((known for known in KINDS if known == text), None)
    return Unsubscribing(UUID(bytes=named[:16]), UUID(bytes=named[16:32]), kind)


def _bad() -> Unauthenticated:
    return Unauthenticated("The link is not valid", code="invalid-link")
