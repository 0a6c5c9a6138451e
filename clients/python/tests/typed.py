"""The types of the client. mypy and pyright check this file. It is not run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from datetime import datetime, timedelta, timezone
from typing import Any

from brrr_client import AsyncClient, AsyncJob, Client, Event, Job, JobInfo, StartOptions
from typing_extensions import assert_type


def blocks(client: Client) -> None:
    job = assert_type(client.start("demo", "fib", n=30, key=1, options=2), Job)
    assert_type(job.result(timeout=timedelta(seconds=1)), Any)
    assert_type(job.status(), JobInfo)
    assert_type(job.events(), Generator[Event, None, None])
    assert_type(job.retry(), Job)
    assert_type(client.jobs(state="failed"), Generator[JobInfo, None, None])
    client.promise(job, "approval").resolve({"by": "Ann"})
    client.promise(job.status(), "approval").reject("no")
    options: StartOptions = {"key": "order-17", "timeout": "1h"}
    client.start_with("demo", "fib", {"n": 30}, **options)
    client.start_with("demo", "fib", b"[]", delay=timedelta(minutes=5), scope="job", retry_backoff="fixed")
    client.start_with("demo", "fib", timeout=b"")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.start_with("demo", "fib", retry_backoff="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.start_with("demo", "fib", keys="")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.jobs(label="for people", since=timedelta(hours=1), until=datetime.now(timezone.utc))
    client.jobs(since="1h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.jobs(state="done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.schedule("demo", "x").put(cron="* * * * *")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def waits(client: AsyncClient) -> None:
    job = assert_type(await client.start("demo", "fib", n=30), AsyncJob)
    assert_type(await job.result(), Any)
    assert_type(await job.cancel(), JobInfo)
    assert_type(job.events(), AsyncGenerator[Event, None])
    assert_type(await client.schedule("demo", "x").run(), AsyncJob)
    async for info in client.jobs():
        assert_type(info, JobInfo)


def ships(client: Client, function: Callable[[int, str], float], coroutine: Callable[[int], Coroutine[Any, Any, str]]) -> None:
    assert_type(client.call(function, 1, "x"), float)
    assert_type(client.call(coroutine, 1), str)
    assert_type(client.call_with(coroutine, [1], scope="job", wait=5), str)
    client.call(function, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    client.call(function, "x", 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def ships_and_waits(client: AsyncClient, function: Callable[[int], float]) -> None:
    assert_type(await client.call(function, 1), float)
