# mypy: ignore-errors
"""The package requests, by the worker's HTTP: `import brrr.requests` beside `import requests` is all that it takes.

Its sessions then send by `wasi:http`, where the worker allows it. A request blocks the whole run: for several at once there is
`brrr.http`. Certificates, proxies and `stream=True` have no effect: the worker makes the connection, and a body is read whole.
"""

from __future__ import annotations

import email.message
import http.client
import io
import types
from typing import Any

import requests
import requests.adapters
import requests.sessions
import urllib3

import brrr.http  # The build gives HTTP to components that import it.  # noqa: F401
from brrr.http import client
from brrr.http.errors import HTTPError, HTTPTimeoutError
from brrr.http.headers import Headers, checked
from brrr.http.redirect import Hop, parse_url

_OF_THE_CONNECTION = ("connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding")
"""Headers that WASI sets, and refuses from others."""


class Adapter(requests.adapters.HTTPAdapter):
    """Sends a session's requests: `session.mount("https://", Adapter())`. New sessions have it already."""

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, *_: Any, **__: Any
    ) -> requests.Response:
        """Raises requests' own errors."""
        if client.exchange_now is None:
            raise RuntimeError("brrr.requests works in a component that brrr-build has built, and there is none here")
        hop = _hop(request)
        try:
            status, headers, content = client.exchange_now(hop, _seconds(timeout))
        except HTTPTimeoutError as error:
            raise requests.Timeout(str(error), request=request) from None
        except HTTPError as error:
            raise requests.ConnectionError(str(error), request=request) from None
        return self.build_response(request, _raw(status, headers, content, hop.method))


def _hop(request: requests.PreparedRequest) -> Hop:
    try:
        url = parse_url(request.url or "")
    except ValueError as error:
        raise requests.exceptions.InvalidURL(str(error), request=request) from None
    body: Any = request.body
    if body is not None and not isinstance(body, (bytes, str)):
        # A file, or something that gives the body piece by piece.
        parts = [body.read()] if hasattr(body, "read") else list(body)
        body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    if isinstance(body, str):
        body = body.encode()
    headers = Headers((_text(name), _text(value)) for name, value in request.headers.items())
    return Hop((request.method or "GET").upper(), url, checked(headers).without(*_OF_THE_CONNECTION), body)


def _text(text: str | bytes) -> str:
    return text.decode("latin-1") if isinstance(text, bytes) else text


def _seconds(timeout: Any) -> float | None:
    # requests knows a time for the connection and one for each read; here one limit is for all of it.
    if isinstance(timeout, tuple):
        times = [each for each in timeout if each is not None]
        return sum(times) if len(times) == len(timeout) else None
    return None if timeout is None else float(timeout)


def _raw(status: int, headers: Headers, content: bytes, method: str) -> urllib3.HTTPResponse:
    message = email.message.Message()
    for name, value in headers.pairs():
        message.add_header(name, value)
    # requests reads cookies from the response of http.client that it expects below.
    original: Any = types.SimpleNamespace(msg=message, isclosed=lambda: True, close=lambda: None)
    return urllib3.HTTPResponse(
        body=io.BytesIO(content),
        headers=urllib3.HTTPHeaderDict(headers.pairs()),
        status=status,
        reason=http.client.responses.get(status),
        preload_content=False,
        original_response=original,
        request_method=method,
    )


requests.sessions.HTTPAdapter = Adapter
