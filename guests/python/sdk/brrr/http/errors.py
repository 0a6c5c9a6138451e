"""What goes wrong with a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brrr.http.response import Response


class HTTPError(Exception):
    """There is no response: the worker doesn't let the handler ask that host (the message says which, and by what flag it
    does), the server can't be reached, or its answer broke off."""


class HTTPTimeoutError(HTTPError, TimeoutError):
    """It took too long."""


class HTTPStatusError(HTTPError):
    """The response's status is not one of success; raised by `Response.raise_for_status` alone."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response
