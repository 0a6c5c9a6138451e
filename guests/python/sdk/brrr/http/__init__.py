"""An HTTP client for handlers, where the worker allows it (``run --allow-http HOST``).

    import brrr.http

    @brrr.handler_no_arg(leaf=True)
    async def stars(repository):
        response = await brrr.http.get(f"https://api.example.com/{repository}", timeout=10)
        response.raise_for_status()
        return response.json()["stars"]

Several at once by ``asyncio.gather`` or a ``TaskGroup``. Requests belong in leaf tasks: elsewhere they are sent again in every
replay. A component has the client only if something in it imports ``brrr.http``.
"""

from brrr.http.client import delete, get, head, patch, post, put, request
from brrr.http.errors import HTTPError, HTTPStatusError, HTTPTimeoutError
from brrr.http.headers import Headers
from brrr.http.response import Response

__all__ = [
    "HTTPError",
    "HTTPStatusError",
    "HTTPTimeoutError",
    "Headers",
    "Response",
    "delete",
    "get",
    "head",
    "patch",
    "post",
    "put",
    "request",
]
