"""The settings of a client."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from os import PathLike

import httpx

from brrr_client._core.steps import Request
from brrr_client._core.text import size, visible
from brrr_client._version import VERSION

TIMEOUT = 10.0
"""Seconds. A gateway answers within milliseconds. On a machine under load it can take seconds."""

RETRIES = 8
"""With the pauses of repeat.py these take about 12 seconds. A gateway restarts in less time."""

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)
"""Each waiting `result()` uses a connection. With a bound on connections some would wait until others end."""


CACHE_SIZE = 2 * 2**30
"""Bytes. That is enough for ten sets of packages, with some components of each."""


@dataclass(frozen=True)
class Settings:
    """The part of a request that is the same for all requests of a client, and the limits."""

    url: httpx.URL
    token: str | None = field(repr=False)
    timeout: float
    retries: int
    binary: str | None = None
    """The program that builds components. None: it is looked for."""
    cache_size: int = CACHE_SIZE
    """The most bytes that the cache of built components takes."""

    @classmethod
    def of(
        cls,
        url: str | None,
        token: str | None,
        timeout: float,
        retries: int,
        binary: str | PathLike[str] | None = None,
        cache_size: int | str | None = None,
    ) -> Settings:
        """Takes missing values from BRRR_URL, BRRR_HTTP_TOKEN and BRRR_CLIENT_CACHE_SIZE. Raises ValueError if a value can't be used."""
        url = url or os.environ.get("BRRR_URL")
        if not url:
            raise ValueError("the URL of the gateway is missing; give one such as http://localhost:8080, or set BRRR_URL")
        parsed = httpx.URL(url.rstrip("/"))
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"{parsed!r} is not the URL of a gateway; write it as http://localhost:8080")
        token = os.environ.get("BRRR_HTTP_TOKEN") if token is None else token
        if token and not visible(token):
            # The message does not contain the token, because programs log their errors.
            raise ValueError("the token can't be sent; it may have only visible ASCII characters")
        program = None if binary is None else os.fspath(binary)
        if cache_size is None:
            cache_size = os.environ.get("BRRR_CLIENT_CACHE_SIZE") or CACHE_SIZE
        return cls(parsed, token or None, timeout, max(retries, 0), program, size(cache_size))

    def address(self, request: Request) -> httpx.URL:
        """The whole URL of a request."""
        # A name may contain an escaped slash, and only raw_path keeps it escaped.
        prefix = self.url.raw_path.rstrip(b"/")
        url = self.url.copy_with(raw_path=prefix + request.path.encode("ascii"))
        return url.copy_merge_params(request.query) if request.query else url

    def headers(self, request: Request) -> dict[str, str]:
        """All headers of a request."""
        headers = {"accept": "application/json", "user-agent": f"brrr-client-python/{VERSION}"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        if request.content is not None:
            headers["content-type"] = "application/json"
        return headers | dict(request.headers)

    def limits(self, request: Request) -> httpx.Timeout:
        """The time limits of the parts of a request."""
        return httpx.Timeout(self.timeout, read=request.read_timeout or self.timeout)

