"""What httpx raises, and what it means."""

from __future__ import annotations

import httpx

from brrr_client._core.steps import Broken

ERRORS = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError, httpx.DecodingError)
"""The network or the other side failed. Everything else is a mistake in what was asked for, and is raised as it is."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def broken(error: Exception) -> Broken:
    """The reply for such an error."""
    return Broken(error, sent=not isinstance(error, UNSENT))
