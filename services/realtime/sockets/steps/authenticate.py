from libs.common.errors import Forbidden, Unauthenticated
from libs.common.identity import Principal
from libs.common.permissions import Permissions
from services.realtime.domain.messages import Authenticated, Person
from services.realtime.sockets.connection import Connection
from services.realtime.sockets.context import Context
from services.realtime.usecases import subscriptions


async def authenticate(context: Context, connection: Connection, token: str) -> None:
    """Makes it the socket of the token's principal, within the bounds on connections."""
    principal, permissions = await _identity(context, connection, token)
    connection.identify(principal, permissions)
    context.live.registry.add(connection)
    _welcome(connection)


async def again(context: Context, connection: Connection, token: str) -> None:
    """Takes a newer token of the same principal, so that the socket outlives the first one."""
    principal, permissions = await _identity(context, connection, token)
    present = connection.principal
    if (principal.tenant_id, principal.id) != (present.tenant_id, present.id):
        raise Forbidden("The token is another principal's; open another socket for it", code="other-principal")
    before = connection.permissions
    connection.identify(principal, permissions)
    _welcome(connection)
    if permissions is not before:
        subscriptions.regroup(context.live, connection)
        await subscriptions.reconsider(context.live, connection)


async def _identity(context: Context, connection: Connection, token: str) -> tuple[Principal, Permissions]:
    principal, permissions = await context.identify(token)
    await context.admission.require(principal.tenant_id, connection.address)
    if context.revocations.covers(principal):
        raise Unauthenticated("The session has ended", code="session-revoked")
    return principal, permissions


def _welcome(connection: Connection) -> None:
    principal = connection.principal
    connection.tell(
        Authenticated(
            user=Person(principal.id, principal.name),
            tenant_id=principal.tenant_id,
            connection=connection.id,
            expires_at=principal.expires_at,
        )
    )
