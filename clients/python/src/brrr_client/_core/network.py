"""The errors of httpx."""

from __future__ import annotations

import httpx

from brrr_client._core.steps import Broken

ERRORS = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError, httpx.DecodingError)
"""The network or the gateway failed. All other errors are mistakes of the caller, and the caller gets them."""

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
"""The gateway has not received the request, because there was no connection to it."""


def broken(error: Exception) -> Broken:
    """The outcome of a step for one of ERRORS."""
    return Broken(error, sent=not isinstance(error, UNSENT))
