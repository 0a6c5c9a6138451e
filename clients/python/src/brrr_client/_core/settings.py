"""Where the gateway is, and how often a request is repeated."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import httpx

from brrr_client._core.steps import Request
from brrr_client._core.text import visible
from brrr_client._version import VERSION

TIMEOUT = 10.0
"""Seconds. A gateway answers in milliseconds; a machine under load takes a second or two."""

RETRIES = 8
"""With the pauses of repeat.py about 12 seconds: a gateway that starts again is back by then."""

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100)
"""Each `result()` that waits has a connection of its own, so a bound would let some of them wait for others."""


@dataclass(frozen=True)
class Settings:
    """What all requests of a client have in common."""

    url: httpx.URL
    token: str | None = field(repr=False)
    timeout: float
    retries: int

    @classmethod
    def of(cls, url: str | None, token: str | None, timeout: float, retries: int) -> Settings:
        """Takes what is not given from BRRR_URL and BRRR_HTTP_TOKEN. Raises ValueError for what can't be used."""
        url = url or os.environ.get("BRRR_URL")
        if not url:
            raise ValueError("no URL of a gateway: give one (http://localhost:8080), or set BRRR_URL")
        parsed = httpx.URL(url.rstrip("/"))
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"the URL of a gateway looks like http://localhost:8080, not {parsed!r}")
        token = os.environ.get("BRRR_HTTP_TOKEN") if token is None else token
        if token and not visible(token):
            # Without the token itself: errors are logged.
            raise ValueError("a token consists of visible ASCII characters")
        return cls(parsed, token or None, timeout, max(retries, 0))

    def address(self, request: Request) -> httpx.URL:
        """The whole URL of a request."""
        # raw_path keeps what is escaped: a name may contain a slash.
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
        """How long the parts of a request may take."""
        return httpx.Timeout(self.timeout, read=request.read_timeout or self.timeout)

