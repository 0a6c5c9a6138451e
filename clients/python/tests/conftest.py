"""The host that most tests share, and clients of both variants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from blocking import blocking
from brrr_client import AsyncClient, Client
from host import BINARY, PUSH_TOKEN, ROOT, Host
from proxy import Proxy
from servers import Servers

Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Generator[Host, None, None]:
    """A worker with a gateway."""
    host = Host(tmp_path_factory.mktemp("host"))
    yield host
    host.stop()


@pytest.fixture(scope="session", params=["sqlite", "redis", "redis_and_dynamodb"])
def each_host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Host, None, None]:
    """A worker with a gateway, on each backend."""
    if request.param == "sqlite":
        yield request.getfixturevalue("host")
        return
    folder = tmp_path_factory.mktemp(request.param)
    servers = Servers(folder)
    try:
        host = Host(folder, backend=servers.redis() if request.param == "redis" else servers.redis_and_dynamodb())
        try:
            yield host
        finally:
            host.stop()
    finally:
        servers.stop()


@pytest.fixture
def start_host(tmp_path: Path) -> Generator[Callable[..., Host], None, None]:
    """Starts a host for one test."""
    hosts: list[Host] = []

    def start(**settings: Any) -> Host:
        hosts.append(Host(tmp_path, **settings))
        return hosts[-1]

    yield start
    for host in hosts:
        host.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the variables of the client. Tests that need them set them."""
    for name in ("BRRR_URL", "BRRR_HTTP_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # Components are built once for all tests, and not in the user's cache.
    monkeypatch.setenv("XDG_CACHE_HOME", str(ROOT / "build/client-python-cache"))
    monkeypatch.setenv("BRRR_HOST", str(BINARY))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Generator[Connect, None, None]:
    """Makes a client: a Client, or an AsyncClient that looks like one."""
    loop = asyncio.new_event_loop()
    clients: list[Client] = []

    def make(*args: Any, **settings: Any) -> Client:
        if request.param == "sync":
            clients.append(Client(*args, **settings))
        else:
            clients.append(blocking(loop, lambda: AsyncClient(*args, **settings)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture
def client(connect: Connect, host: Host) -> Client:
    """A client of the host."""
    return connect(host.url)


@pytest.fixture
def ships(connect: Connect, host: Host) -> Client:
    """A client that may ship code."""
    return connect(host.url, token=PUSH_TOKEN)


@pytest.fixture
def ships_to_each(connect: Connect, each_host: Host) -> Client:
    """A client that may ship code to a host on each backend."""
    return connect(each_host.url, token=PUSH_TOKEN)


@pytest.fixture
def proxy(host: Host) -> Generator[Proxy, None, None]:
    """A proxy to the host."""
    proxy = Proxy(host.port)
    yield proxy
    proxy.close()
