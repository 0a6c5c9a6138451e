"""Properties of the asyncio client alone, many users of one client, and httpx clients of the caller."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import httpx
import pytest
from brrr_client import AsyncClient, Client
from host import Host

HOUR_MS = 3_600_000


def test_many_at_the_same_time(host: Host) -> None:
    async def main() -> None:
        async with AsyncClient(host.url, timeout=60) as client:
            jobs = await asyncio.gather(*(client.start("demo", "leaf", i=i) for i in range(150)))
            # More than the connections that httpx has by itself.
            results = await asyncio.gather(*(job.result(timeout=300) for job in jobs))
            assert results == list(range(150))

    asyncio.run(main())


def test_a_wait_can_be_cancelled(host: Host) -> None:
    async def main() -> None:
        async with AsyncClient(host.url) as client:
            job = await client.start("demo", "sleeps", ms=HOUR_MS)
            begun = time.monotonic()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(job.result(), 0.3)
            assert time.monotonic() - begun < 5
            # The client is as good as before.
            assert (await job.cancel()).state == "cancelled"

    asyncio.run(main())


def test_a_loop_over_events_can_end_early(host: Host) -> None:
    async def main() -> None:
        async with AsyncClient(host.url) as client:
            job = await client.start("demo", "sleeps", ms=HOUR_MS)
            async for event in job.events():
                assert event.job == job.id
                break
            await job.cancel()
            assert [event async for event in job.events()][-1].to_state == "cancelled"
            async for info in client.jobs(page_size=1):
                assert info.id
                break

    asyncio.run(main())


def test_connections_of_the_user(host: Host) -> None:
    seen: list[str] = []

    def see(request: httpx.Request) -> None:
        seen.append(request.headers["user-agent"])

    with httpx.Client(event_hooks={"request": [see]}) as http:
        with Client(host.url, http=http) as client:
            assert client.topics()
        assert not http.is_closed

    async def main() -> None:
        async with httpx.AsyncClient() as http:
            async with AsyncClient(host.url, http=http) as client:
                assert await client.topics()
            assert not http.is_closed

    asyncio.run(main())
    assert seen[0].startswith("brrr-client-python/")


def test_a_wait_is_few_requests(host: Host) -> None:
    seen: list[httpx.Request] = []
    with httpx.Client(event_hooks={"request": [seen.append]}) as http, Client(host.url, http=http) as client:
        client.start("demo", "sleeps", ms=1000).result(timeout=60)
    assert [request.method for request in seen][:2] == ["POST", "GET"] and len(seen) <= 3


def test_events_that_are_not_read_to_the_end_free_their_connection(host: Host) -> None:
    one = httpx.Limits(max_connections=1)
    with httpx.Client(limits=one) as http, Client(host.url, http=http, timeout=5, retries=0) as client:
        job = client.start("demo", "sleeps", ms=HOUR_MS)
        events = job.events()
        next(events)
        events.close()
        job.cancel()

    async def main() -> None:
        async with httpx.AsyncClient(limits=one) as http:
            client = AsyncClient(host.url, http=http, timeout=5, retries=0)
            job = await client.start("demo", "sleeps", ms=HOUR_MS)
            async with aclosing(job.events()) as events:
                await anext(events)
            await job.cancel()

    asyncio.run(main())


def test_threads_may_share_a_client(host: Host) -> None:
    with Client(host.url) as client, ThreadPoolExecutor(20) as threads:

        def leaf(i: int) -> object:
            return client.start("demo", "leaf", i=i).result(timeout=120)

        assert list(threads.map(leaf, range(20))) == list(range(20))
