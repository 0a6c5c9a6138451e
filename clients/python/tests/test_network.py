"""Lost answers, and gateways that are away or busy."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from brrr_client import (
    ApiError,
    Client,
    ConnectionFailedError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from conftest import Connect
from host import Host
from proxy import Plan, Proxy
from support import HOUR_MS, alone, eventually

LOST = Plan(cut_after=0)


def problem(status: int, name: str, **headers: str) -> Plan:
    """The answer of a gateway that has a problem."""
    body = json.dumps({"type": f"urn:brrr:problem:{name}", "title": name, "status": status, "detail": f"it is {name}"})
    fixed = {"content_type": "application/problem+json", "content_length": str(len(body)), "connection": "close"}
    lines = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in {**fixed, **headers}.items())
    return Plan(say=f"HTTP/1.1 {status} No\r\n{lines}\r\n{body}".encode())


@pytest.fixture
def through(connect: Connect, proxy: Proxy) -> Client:
    """A client behind a proxy."""
    return connect(proxy.url)


def jobs_of(client: Client, task: str) -> list[str]:
    """The ids of all jobs with this task."""
    return [job.id for job in client.jobs(task=task)]


def test_a_start_whose_answer_is_lost_starts_one_job(client: Client, through: Client, proxy: Proxy) -> None:
    before = jobs_of(client, "nap")
    proxy.plans.extend([LOST, Plan(cut_after=0, reset=True), Plan(cut_after=60)])
    job = alone(through, "nap", ms=0, tag="once")
    assert proxy.cuts == 3
    assert jobs_of(client, "nap") == [job.id, *before]
    assert job.result(timeout=60) == "once"


def test_a_busy_gateway_is_asked_again(client: Client, through: Client, proxy: Proxy) -> None:
    proxy.plans.extend([problem(503, "busy", retry_after="1"), problem(408, "too-slow"), Plan(say=b"HTTP/1.1 502 Bad\r\n\r\n")])
    begun = time.monotonic()
    job = through.start("demo", "noop")
    assert 1 <= time.monotonic() - begun < 20
    assert job.result(timeout=60) is None
    assert not proxy.plans


def test_attempts_are_bounded(connect: Connect, proxy: Proxy) -> None:
    proxy.otherwise = lambda: problem(503, "backend-unavailable")
    with pytest.raises(UnavailableError) as caught:
        connect(proxy.url, retries=2).topics()
    assert (caught.value.status, caught.value.name, caught.value.detail) == (
        503,
        "backend-unavailable",
        "it is backend-unavailable",
    )


def test_nobody_is_there(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    client = connect(f"http://127.0.0.1:{port}", retries=1)
    with pytest.raises(ConnectionFailedError, match="POST /v1/jobs: no answer after 2 attempts") as caught:
        client.start("demo", "noop")
    assert isinstance(caught.value.__cause__, httpx.ConnectError) and isinstance(caught.value, ConnectionError)
    with pytest.raises(WaitTimeoutError) as late:
        connect(f"http://127.0.0.1:{port}").job("a").result(timeout=0.5)
    assert isinstance(late.value.__cause__, ConnectionFailedError)


def test_a_gateway_that_says_nothing(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConnectionFailedError, match="1 attempt: .*; the gateway may have received the request"):
            connect(url, retries=0, timeout=0.2).start("demo", "noop")
        begun = time.monotonic()
        with pytest.raises(WaitTimeoutError):
            connect(url, timeout=30).job("a").result(timeout=0.3)
        assert time.monotonic() - begun < 20


def test_a_gateway_that_starts_again(connect: Connect, start_host: Callable[..., Host]) -> None:
    host = start_host()
    client = connect(host.url, retries=100)
    job = alone(client, "sleeps", ms=2000)
    events = job.events()
    first = next(events)
    host.kill()
    # The host starts while the client repeats its request.
    threading.Timer(0.5, start_host, kwargs={"port": host.port}).start()
    later = client.start("demo", "hello", greetee="again")
    assert later.result(timeout=60) == "Hello, again!"
    assert job.result(timeout=120) >= 2000
    rest = list(events)
    assert rest[-1].is_end and first not in rest
    assert [first, *rest] == list(job.events())


def test_a_cancel_whose_answer_is_lost(client: Client, through: Client, proxy: Proxy) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    proxy.plans.append(LOST)
    assert through.job(job).cancel().state == "cancelled"


def test_a_lost_answer_to_a_resolved_promise(client: Client, through: Client, proxy: Proxy) -> None:
    job = alone(client, "sleeps", ms=HOUR_MS)
    proxy.plans.append(LOST)
    through.promise(job, "approval").resolve({"ok": True})
    assert proxy.cuts == 1
    job.cancel()


def test_a_lost_answer_to_a_promise_that_ends_the_job(client: Client, through: Client, proxy: Proxy) -> None:
    job = alone(client, "asks", name="approval", limit=0)
    eventually("the promise", job.promises)
    proxy.plans.append(LOST)
    through.promise(job, "approval").resolve({"ok": True})
    assert job.result(timeout=60) == {"ok": True}


def test_a_removal_whose_answer_is_lost(client: Client, connect: Connect, proxy: Proxy) -> None:
    for lost in (False, True):
        client.schedule("demo", "lost").put(cron="0 3 * * *", task="noop")
        if lost:
            proxy.plans.append(LOST)
        connect(proxy.url).schedule("demo", "lost").delete()
        assert client.schedules("demo") == []


def test_what_may_not_be_done_twice_is_not_repeated(client: Client, connect: Connect, proxy: Proxy) -> None:
    job = alone(client, "fails", message="twice")
    job.wait(timeout=60)
    before = len(jobs_of(client, "fails"))
    proxy.plans.append(LOST)
    with pytest.raises(ConnectionFailedError, match="1 attempt.*may have received"):
        connect(proxy.url).job(job).retry()
    assert len(jobs_of(client, "fails")) == before + 1
    # In these cases the gateway did nothing.
    proxy.plans.extend([problem(503, "busy"), problem(408, "too-slow")])
    connect(proxy.url).job(job).retry()
    assert len(jobs_of(client, "fails")) == before + 2


def test_a_wait_that_is_cut(client: Client, through: Client, proxy: Proxy) -> None:
    job = alone(client, "sleeps", ms=1000)
    proxy.plans.extend([LOST, LOST])
    assert through.job(job).result(timeout=60) >= 1000
    assert proxy.cuts == 2


def test_something_else_answers(connect: Connect, proxy: Proxy) -> None:
    page = b"HTTP/1.1 %d X\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<h1>Welcome</h1>"
    proxy.plans.append(Plan(say=page % 200))
    with pytest.raises(UnexpectedAnswerError, match="URL of a gateway"):
        connect(proxy.url).topics()
    proxy.plans.append(Plan(say=page % 403))
    with pytest.raises(ApiError, match="Welcome") as caught:
        connect(proxy.url).topics()
    assert (caught.value.status, caught.value.name) == (403, "")
    proxy.plans.append(Plan(say=b"HTTP/1.1 302 X\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\n\r\n"))
    with pytest.raises(ApiError) as caught:
        connect(proxy.url).topics()
    assert caught.value.status == 302


def test_a_token(connect: Connect, start_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch) -> None:
    token = "a-token-of-the-tests"
    host = start_host(token=token)
    for wrong in (None, "another-token-of-the-tests"):
        with pytest.raises(UnauthorizedError) as caught:
            connect(host.url, token=wrong).topics()
        assert caught.value.status == 401
    client = connect(host.url, token=token)
    assert client.topics() and token not in repr(client)
    job = client.start("demo", "noop")
    assert list(job.events())[-1].is_end
    monkeypatch.setenv("BRRR_URL", host.url + "/")
    monkeypatch.setenv("BRRR_HTTP_TOKEN", token)
    assert connect().job(job).result(timeout=60) is None
    with pytest.raises(UnauthorizedError):
        connect(token="").topics()


def test_no_url(connect: Connect) -> None:
    with pytest.raises(ValueError, match="BRRR_URL"):
        connect()
    for url in ("localhost:8080", "ftp://localhost", "http://"):
        with pytest.raises(ValueError, match="http://localhost:8080"):
            connect(url)
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        connect("http://localhost", token="secret\nsecret")
    assert "secret" not in str(caught.value)
