"""The functions that a handler calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol, TypedDict, Unpack
from urllib.parse import urlencode

from brrr import codec
from brrr.http.errors import HTTPError, HTTPTimeoutError
from brrr.http.headers import Headers, checked
from brrr.http.redirect import MAX_REDIRECTS, Hop, next_hop, parse_url
from brrr.http.response import Response


class Exchange(Protocol):
    """One request and its response, without redirects. Raises HTTPError."""

    def __call__(self, hop: Hop, /) -> Awaitable[tuple[int, Headers, bytes]]: ...


exchange: Exchange | None = None
"""Set by `brrr.http.wasi` in a component, and by tests."""

exchange_now: Callable[[Hop, float | None], tuple[int, Headers, bytes]] | None = None
"""The same for functions that are no coroutines; with the seconds that it may take."""

Params = Mapping[str, Any] | Iterable[tuple[str, Any]]


class RequestOptions(TypedDict, total=False):
    """What a request may have besides method and URL; called as in httpx."""

    params: Params
    """Parameters of the query, added to the URL's own; of a list each value."""
    headers: Mapping[str, str]
    content: bytes | str
    """The body; text as UTF-8."""
    data: Params
    """In place of it: a form."""
    json: Any
    """In place of it: a value as JSON."""
    timeout: float
    """Seconds from here to the end of the body, redirects included; the task's own timeout counts as well."""
    follow_redirects: bool
    """True without it; False gives a redirect as the response."""


async def get(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method GET."""
    return await request("GET", url, **options)


async def head(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method HEAD."""
    return await request("HEAD", url, **options)


async def post(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method POST."""
    return await request("POST", url, **options)


async def put(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method PUT."""
    return await request("PUT", url, **options)


async def patch(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method PATCH."""
    return await request("PATCH", url, **options)


async def delete(url: str, **options: Unpack[RequestOptions]) -> Response:
    """`request` with the method DELETE."""
    return await request("DELETE", url, **options)


async def request(method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
    """Sends a request; gives the response with its whole body, whatever its status.

    Raises HTTPError when there is no response, HTTPTimeoutError when it takes too long, ValueError for what can't be sent.
    """
    timeout = options.get("timeout")
    hop = _first_hop(method, url, options)
    try:
        async with asyncio.timeout(timeout):
            return await _follow(hop, options.get("follow_redirects", True))
    except TimeoutError as error:
        if isinstance(error, HTTPTimeoutError):
            raise
        raise HTTPTimeoutError(f"{hop.method} {hop.url.origin} took longer than {timeout} s") from error


async def _follow(hop: Hop, follow: bool) -> Response:
    if exchange is None:
        raise RuntimeError("brrr.http works in a component that brrr-build has built, and there is none here")
    for _ in range(MAX_REDIRECTS + 1):
        status, headers, content = await exchange(hop)
        after = next_hop(hop, status, headers.get("location")) if follow else None
        if after is None:
            return Response(status, headers, content, str(hop.url))
        hop = after
    raise HTTPError(f"more than {MAX_REDIRECTS} redirects, the last one to {hop.url.host}")


def _first_hop(method: str, url: str, options: RequestOptions) -> Hop:
    if unknown := options.keys() - RequestOptions.__annotations__.keys():
        raise TypeError(f"a request has no option {', '.join(sorted(unknown))}")
    bodies = [name for name in ("content", "data", "json") if name in options]
    if len(bodies) > 1:
        raise TypeError(f"a request has one body, not {' and '.join(bodies)}")
    if not method.isalpha() or method.upper() in ("CONNECT", "TRACE"):
        raise ValueError(f"{method!r} is no method that a handler may send")
    headers = checked(Headers(options.get("headers", {})))
    body, content_type = _body(options)
    if content_type is not None:
        headers = headers.with_default("content-type", content_type)
    if query := urlencode(_pairs(options.get("params", ())), doseq=True):
        url, hash_sign, fragment = url.partition("#")
        url += ("&" if "?" in url else "?") + query + hash_sign + fragment
    return Hop(method.upper(), parse_url(url), headers, body)


def _body(options: RequestOptions) -> tuple[bytes | None, str | None]:
    if "json" in options:
        return codec.encode_result(options["json"]), "application/json"
    if "data" in options:
        return urlencode(_pairs(options["data"]), doseq=True).encode(), "application/x-www-form-urlencoded"
    content = options.get("content")
    if isinstance(content, str):
        return content.encode(), "text/plain; charset=utf-8"
    return content, None


def _pairs(params: Params) -> list[tuple[str, Any]]:
    return list(params.items() if isinstance(params, Mapping) else params)
