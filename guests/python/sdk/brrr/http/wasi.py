"""`client.exchange` over `wasi:http/outgoing-handler`. `brrr.build` imports it into components that import `brrr.http`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from componentize_py_types import Err, Ok  # type: ignore[import-not-found]
from wit_world.imports import http_types as types  # type: ignore[import-not-found]
from wit_world.imports import monotonic_clock, outgoing_handler, streams
from wit_world.imports import poll as io

from brrr.http import client
from brrr.http.errors import HTTPError, HTTPTimeoutError
from brrr.http.headers import Headers
from brrr.http.redirect import Hop
from brrr.loop import Loop

T = TypeVar("T")
_Ready = Callable[[Any], Awaitable[None]]
_Beside = Callable[[Coroutine[Any, Any, None]], "asyncio.Future[None] | None"]

_CHUNK = 64 << 10
"""Bytes that are read at once; a stream hands over what it has, and hardly ever has more."""

_NANOSECONDS = 1_000_000_000

_METHODS = {
    "GET": types.Method_Get,
    "HEAD": types.Method_Head,
    "POST": types.Method_Post,
    "PUT": types.Method_Put,
    "DELETE": types.Method_Delete,
    "OPTIONS": types.Method_Options,
    "PATCH": types.Method_Patch,
}

_TIMEOUTS = (
    types.ErrorCode_ConnectionTimeout,
    types.ErrorCode_ConnectionReadTimeout,
    types.ErrorCode_ConnectionWriteTimeout,
    types.ErrorCode_HttpResponseTimeout,
)

_MEANINGS = {
    types.ErrorCode_DnsError: "its name could not be resolved",
    types.ErrorCode_DestinationNotFound: "its name could not be resolved",
    types.ErrorCode_ConnectionTerminated: "the connection was cut",
    types.ErrorCode_HttpResponseIncomplete: "the connection was cut in the middle of the answer",
    types.HeaderError_Forbidden: "it has a header that a handler may not set",
    types.HeaderError_InvalidSyntax: "it has a header that is none",
    **dict.fromkeys(_TIMEOUTS, "no answer came in time"),
}
"""Where the names of WASI's `error-code` and `header-error` don't say it."""


async def exchange(hop: Hop) -> tuple[int, Headers, bytes]:
    """One request and its response. Raises HTTPError."""
    return await _exchange(hop, _ready, asyncio.ensure_future)


def exchange_now(hop: Hop, seconds: float | None) -> tuple[int, Headers, bytes]:
    """The same, for functions that are no coroutines: nothing else runs meanwhile. Raises HTTPTimeoutError after `seconds`."""
    until = None if seconds is None else monotonic_clock.now() + round(seconds * _NANOSECONDS)

    async def ready(source: Any) -> None:
        left = None if until is None else (until - monotonic_clock.now()) / _NANOSECONDS
        with source.subscribe() as pollable:
            if not _select([pollable], left):
                raise HTTPTimeoutError(f"{hop.method} {hop.url.origin} took longer than {seconds} s")

    def send_first(sending: Coroutine[Any, Any, None]) -> None:
        _run_through(sending)

    return _run_through(_exchange(hop, ready, send_first))


def _run_through(steps: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives that never waits for the loop."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for the loop")


async def _exchange(hop: Hop, ready: _Ready, beside: _Beside) -> tuple[int, Headers, bytes]:
    """`ready` waits for something of WASI; `beside` sends the body."""

    def attempt(action: Callable[[], T]) -> T:
        try:
            return action()
        except Err as error:
            raise _failure(hop, error.value) from None

    request, body = attempt(lambda: _prepare(hop))
    # Beside the response: a server may answer before it has read everything.
    sending = None
    with attempt(lambda: outgoing_handler.handle(request, None)) as future:
        if body is not None:
            assert hop.body is not None
            sending = beside(_send(body, hop.body, ready))
        try:
            await ready(future)
            result = future.get()
            assert isinstance(result, Ok), "a future that is ready has a result, once"
            if isinstance(result.value, Err):
                raise _failure(hop, result.value.value)
            with result.value.value as response:
                return await _receive(hop, response, ready)
        finally:
            if sending is not None:
                sending.cancel()


def _prepare(hop: Hop) -> tuple[Any, Any]:
    # WASI derives the host from the authority, and refuses one of our own.
    headers = hop.headers.without("host").with_default("accept", "*/*")
    # Some servers refuse requests that don't say who asks.
    headers = headers.with_default("user-agent", "brrr")
    # Unasked for it would be sent in chunks, which not every server takes.
    if hop.body is not None or hop.method in ("POST", "PUT"):
        headers = headers.without("content-length").with_default("content-length", str(len(hop.body or b"")))
    request = types.OutgoingRequest(types.Fields.from_list([(name, value.encode()) for name, value in headers.pairs()]))
    known = _METHODS.get(hop.method)
    request.set_method(known() if known else types.Method_Other(hop.method))
    request.set_scheme(types.Scheme_Https() if hop.url.scheme == "https" else types.Scheme_Http())
    request.set_authority(hop.url.host)
    request.set_path_with_query(hop.url.path)
    return request, request.body() if hop.body else None


async def _send(body: Any, content: bytes, ready: _Ready) -> None:
    try:
        with body.write() as stream:
            sent = 0
            while sent < len(content):
                if room := stream.check_write():
                    stream.write(content[sent : sent + room])
                    sent += room
                else:
                    await ready(stream)
        types.OutgoingBody.finish(body, None)
    except Err:
        pass  # Why it failed, the answer says better.


async def _receive(hop: Hop, response: Any, ready: _Ready) -> tuple[int, Headers, bytes]:
    status = response.status()
    with response.headers() as fields:
        headers = Headers((name, value.decode("utf-8", "replace")) for name, value in fields.entries())
    chunks: list[bytes] = []
    with response.consume() as body, body.stream() as stream:
        while True:
            try:
                chunk = stream.read(_CHUNK)
            except Err as error:
                if isinstance(error.value, streams.StreamError_Closed):
                    return status, headers, b"".join(chunks)
                broken = error.value.value
                cause = types.http_error_code(broken)
                raise _failure(hop, cause if cause is not None else broken.to_debug_string()) from None
            if chunk:
                chunks.append(chunk)
            else:
                await ready(stream)


async def _ready(source: Any) -> None:
    """Waits until there is something to be done."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop), "handlers run on the SDK's loop"
    with source.subscribe() as pollable:
        await loop.wait_until_ready(pollable, _select)


def _select(pollables: Sequence[Any], seconds: float | None) -> list[int]:
    """WASI's `poll` with a limit: which are ready."""
    if seconds is None:
        return list(io.poll(list(pollables)))
    with monotonic_clock.subscribe_duration(max(0, round(seconds * _NANOSECONDS))) as alarm:
        return [i for i in io.poll([*pollables, alarm]) if i < len(pollables)]


def _failure(hop: Hop, cause: Any) -> HTTPError:
    # It names no path and no query: they may hold secrets.
    kind = HTTPTimeoutError if isinstance(cause, _TIMEOUTS) else HTTPError
    return kind(f"{hop.method} {hop.url.origin} failed: {_words(cause, hop.url.host)}")


def _words(cause: Any, host: str) -> str:
    if isinstance(cause, str):
        return cause
    # The host's own words, where it has some.
    if isinstance(text := getattr(cause, "value", None), str):
        return text
    if isinstance(cause, types.ErrorCode_HttpRequestDenied):
        return f"HTTP to {host} is not allowed: --allow-http {host}"
    if (meaning := _MEANINGS.get(type(cause))) is not None:
        return meaning
    # ErrorCode_ConnectionRefused: connection refused
    name = type(cause).__name__.partition("_")[2]
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


client.exchange = exchange
client.exchange_now = exchange_now
