"""Problem documents for what fails at the edge (RFC 9457)."""

from gateway.exchange import Exchange, Header
from libs.common import problems
from libs.common.errors import AppError


def document(exchange: Exchange, error: AppError) -> tuple[int, list[Header], bytes]:
    """Status, headers and body for an error."""
    instance = exchange.raw_path.decode("ascii", "replace")[:512]
    status, headers, body = problems.render(error, request_id=exchange.request_id, instance=instance)
    return status, [(name.encode(), value.encode()) for name, value in headers], body


async def refuse(exchange: Exchange, error: AppError) -> None:
    """Answers with the problem document. What is left of the body is discarded by the server, for a while."""
    await exchange.answer(*document(exchange, error))
