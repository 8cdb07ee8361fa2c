"""Who may open a socket, in which ways, and for how long."""

import asyncio
import time
from contextlib import AsyncExitStack

import asyncpg
import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from libs.common.errors import NotFound
from libs.common.ids import new_id
from millrace.client import Live
from services.realtime.settings import Settings
from tests.realtime.support import Node, World, claims, close_code, running_node
from tests.support.postgres import Database
from tests.support.waiting import eventually


def address(node: Node, path: str = "/api/v1/ws") -> str:
    return node.url.replace("http", "ws") + path


async def refusal(live: Live) -> tuple[str, int]:
    """The code of the error frame, and of the close after it."""
    error = await live.expect("error")
    return error["code"], await close_code(live)


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws", "/api/v1/ws/", "/api/ws"])
async def test_the_first_frame_may_carry_the_token(node: Node, world: World, path: str) -> None:
    """A token in the first frame opens a socket at each of its addresses."""
    token = world.token()
    async with connect(address(node, path)) as connection:
        live = Live(connection)
        await live.send(type="authenticate", token=token)
        frame = await live.expect("authenticated")
    assert (frame["user"]["id"], frame["tenant_id"]) == (claims(token)["sub"], str(world.tenant))
    assert frame["expires_at"] == claims(token)["exp"]


async def test_the_subprotocol_may_carry_the_token(node: Node, world: World) -> None:
    """`Sec-WebSocket-Protocol: bearer, <token>` authenticates, and `bearer` is answered."""
    protocols = [Subprotocol("bearer"), Subprotocol(world.token())]
    async with connect(address(node), subprotocols=protocols) as connection:
        await Live(connection).expect("authenticated")
        assert connection.subprotocol == "bearer"


async def test_the_authorization_header_may_carry_the_token(node: Node, world: World) -> None:
    """Clients that can send headers need no frame."""
    async with connect(address(node), additional_headers={"Authorization": f"Bearer {world.token()}"}) as connection:
        await Live(connection).expect("authenticated")


async def test_a_ticket_opens_one_socket(node: Node, world: World) -> None:
    """A ticket works once; the second socket with it is refused."""
    headers = {"Authorization": f"Bearer {world.token()}"}
    async with httpx.AsyncClient(base_url=node.url, headers=headers) as client:
        answer = await client.post("/api/v1/ws/tickets")
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
    path = f"/api/v1/ws?ticket={answer.json()['ticket']}"
    async with connect(address(node, path)) as connection:
        await Live(connection).expect("authenticated")
    async with connect(address(node, path)) as connection:
        assert await refusal(Live(connection)) == ("invalid-ticket", 4401)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"type": "authenticate", "token": "nonsense"}, "invalid-token"),
        ({"type": "ping"}, "not-authenticated"),
        ({"type": "subscribe", "channel": "tenant"}, "not-authenticated"),
        ({"type": "authenticate"}, "validation-failed"),
        ({"type": "unheard-of"}, "validation-failed"),
    ],
)
async def test_without_a_good_token_first_the_socket_closes(node: Node, frame: dict[str, str], code: str) -> None:
    """Anything but a good token in the first frame is told and closed with 4401."""
    async with connect(address(node)) as connection:
        live = Live(connection)
        await live.send(**frame)
        assert await refusal(live) == (code, 4401)


async def test_an_expired_token_is_refused(node: Node, world: World) -> None:
    """A token past its end opens nothing."""
    async with connect(address(node)) as connection:
        live = Live(connection)
        await live.send(type="authenticate", token=world.token(seconds=-60))
        assert await refusal(live) == ("token-expired", 4401)


async def test_silence_is_closed(settings: Settings, world: World) -> None:
    """A socket that says nothing is closed at its deadline."""
    impatient = msgspec.structs.replace(settings, authenticate_seconds=0.2)
    async with running_node(impatient) as node, connect(address(node)) as connection:
        assert await refusal(Live(connection)) == ("authentication-timeout", 4401)


async def test_a_socket_ends_with_its_token(node: Node, world: World) -> None:
    """When the token expires, and not before, the open socket is told so and closed."""
    token = world.token(seconds=5)
    async with node.live(token) as live:
        assert await refusal(live) == ("token-expired", 4401)
        assert time.time() >= claims(token)["exp"]


async def test_a_newer_token_keeps_the_socket_open(node: Node, world: World) -> None:
    """Authenticating again with a token of the same principal moves the end of the socket."""
    role = world.issuer.role(world.tenant)
    user = str(new_id())
    first = world.issuer.token(world.tenant, role, seconds=5, sub=user)
    async with node.live(first) as live:
        await live.send(type="authenticate", token=world.issuer.token(world.tenant, role, sub=user))
        again = await live.expect("authenticated")
        assert again["expires_at"] > claims(first)["exp"] + 60

        async def first_is_past() -> bool:
            return time.time() > claims(first)["exp"] + 0.2

        await eventually(first_is_past)
        await live.send(type="ping")
        await live.expect("pong")


async def test_another_principals_token_changes_nothing(node: Node, world: World) -> None:
    """An open socket does not become somebody else's; the refusal leaves it open."""
    async with node.live(world.token()) as live:
        await live.send(type="authenticate", token=world.token())
        assert (await live.expect("error"))["code"] == "other-principal"
        await live.send(type="ping")
        await live.expect("pong")


@pytest.mark.parametrize("whole_user", [False, True])
async def test_a_revoked_session_closes_its_sockets(node: Node, world: World, whole_user: bool) -> None:
    """After the revocation the session's socket is closed, another user's stays, and none reopens."""
    token, other = world.token(), world.token()
    async with node.live(token) as live, node.live(other) as untouched:
        await world.revoke(token, whole_user=whole_user)
        assert await refusal(live) == ("session-revoked", 4401)
        await untouched.send(type="ping")
        await untouched.expect("pong")
    async with connect(address(node)) as connection:
        again = Live(connection)
        await again.send(type="authenticate", token=token)
        assert await refusal(again) == ("session-revoked", 4401)


async def test_an_address_that_is_not_allowed_any_more_loses_its_sockets(node: Node, world: World) -> None:
    """Closed by the policy's event; one from an address that is on the list stays, and of another tenant too."""
    sockets = {}
    async with AsyncExitStack() as stack:
        for name, tenant, source in (
            ("out", world.tenant, "192.0.2.7"),
            ("in", world.tenant, "198.51.100.9"),
            ("other", new_id(), "192.0.2.7"),
        ):
            headers = {"X-Forwarded-For": source}
            sockets[name] = Live(await stack.enter_async_context(connect(address(node), additional_headers=headers)))
            await sockets[name].send(type="authenticate", token=world.token(tenant=tenant))
            await sockets[name].expect("authenticated")
        data = {"status": "active", "addresses": ["198.51.100.0/24"]}
        await world.publish(world.tenant, "auth.tenant.updated", str(world.tenant), data)
        assert await refusal(sockets["out"]) == ("address-not-allowed", 4401)
        for name in ("in", "other"):
            await sockets[name].send(type="ping")
            await sockets[name].expect("pong")


async def opened(node: Node, token: str, source: str) -> str:
    """What the first frame tells of a socket that comes from an address and brings its token in its own first one."""
    async with connect(address(node), additional_headers={"X-Forwarded-For": source}) as connection:
        live = Live(connection)
        await live.send(type="authenticate", token=token)
        frame = await live.receive()
        return str(frame.get("code") or frame["type"])


async def test_an_address_that_is_not_allowed_opens_no_socket(
    settings: Settings, node: Node, world: World, database: Database
) -> None:
    """The gateway does not know the tenant of such a socket; nodes know it that heard of the list, or never did."""
    told = {"status": "active", "addresses": ["198.51.100.0/24"]}
    unheard = new_id()
    asked = []

    async def tenant(question: dict[str, str]) -> dict[str, object]:
        asked.append(question["tenant_id"])
        if question["tenant_id"] != str(unheard):
            raise NotFound
        return told

    await world.publish(world.tenant, "auth.tenant.updated", str(world.tenant), told)
    world.bus.serve("rpc.auth.tenant", dict[str, str], tenant)

    async def heard() -> bool:
        return await opened(node, world.token(tenant=new_id()), "192.0.2.7") == "tenant-inactive"

    async def kept() -> bool:
        admin = await asyncpg.connect(database.admin_dsn)
        try:
            found = "select true from realtime.tenant_settings where tenant_id = $1"
            return bool(await admin.fetchval(found, world.tenant))
        finally:
            await admin.close()

    await eventually(heard)
    await eventually(kept)
    assert await opened(node, world.token(), "192.0.2.7") == "address-not-allowed"
    assert await opened(node, world.token(), "198.51.100.9") == "authenticated"
    async with running_node(settings) as later:
        assert await opened(later, world.token(), "192.0.2.7") == "address-not-allowed"
        sources = ["192.0.2.7", "198.51.100.9"] * 4
        many = await asyncio.gather(*(opened(later, world.token(tenant=unheard), source) for source in sources))
        assert many == ["address-not-allowed", "authenticated"] * 4
        assert asked.count(str(unheard)) == 1
        assert await opened(later, world.token(tenant=new_id()), "198.51.100.9") == "tenant-inactive"
        stopped = {**told, "status": "suspended"}
        await world.publish(world.tenant, "auth.tenant.updated", str(world.tenant), stopped)

        async def suspended() -> bool:
            return await opened(later, world.token(), "198.51.100.9") == "tenant-inactive"

        await eventually(suspended)


async def test_a_revocation_from_before_the_node_started_holds(settings: Settings, world: World) -> None:
    """A node learns of the revocations that it was not there for."""
    token = world.token()
    async with running_node(settings) as node, node.live(world.token()):
        pass
    await world.revoke(token)
    async with running_node(settings) as node, connect(address(node)) as connection:
        live = Live(connection)
        await live.send(type="authenticate", token=token)
        assert await refusal(live) == ("session-revoked", 4401)


async def test_too_many_sockets_of_one_user_are_refused(settings: Settings, world: World) -> None:
    """Over the bound per user a socket is told so and closed; when one leaves there is room again."""
    token = world.token()
    async with running_node(msgspec.structs.replace(settings, max_sockets_per_user=1)) as node:
        async with node.live(token):
            async with connect(address(node)) as connection:
                live = Live(connection)
                await live.send(type="authenticate", token=token)
                assert await refusal(live) == ("too-many-sockets", 4429)
            async with node.live(world.token()):
                pass
        async with node.live(token):
            pass


@pytest.mark.parametrize("path", ["/api/v1/nowhere", "/ws/records/not-an-id", "/"])
async def test_other_addresses_are_not_found(node: Node, path: str) -> None:
    """A handshake anywhere else is refused with 404."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(address(node, path))
    assert refused.value.response.status_code == 404
