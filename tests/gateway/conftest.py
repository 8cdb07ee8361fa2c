"""A gateway before services that echo."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.gateway.support import Services, gateway_for, serving, upstream_server


@pytest.fixture
def services() -> Services:
    """The application that plays the services."""
    return Services()


@pytest.fixture
def services_url(services: Services) -> Iterator[str]:
    """Where the services listen."""
    with serving(lambda: upstream_server(services)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def gateway_url(services_url: str, redis_url: str, nats_url: str) -> Iterator[str]:
    """A gateway with the settings of the default."""
    with gateway_for(services_url, redis_url, nats_url) as url:
        yield url


@pytest.fixture
async def client(gateway_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of that gateway."""
    async with httpx.AsyncClient(base_url=gateway_url, timeout=60) as made:
        yield made
