"""Makes an AsyncClient look like a Client, so that one test checks both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, cast

from brrr_client import AsyncClient, AsyncDeadLetter, AsyncJob, AsyncPromise, AsyncSchedule, Client

HANDLES = (AsyncJob, AsyncPromise, AsyncSchedule, AsyncDeadLetter)


def blocking(loop: asyncio.AbstractEventLoop, make: Callable[[], AsyncClient]) -> Client:
    """The client that `make` returns. Its methods run on this loop."""
    return cast(Client, Blocking(loop, make()))


class Blocking:
    """A client or a handle whose coroutines are run to their end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, inner: object) -> None:
        self._loop = loop
        self._inner = inner

    def close(self) -> None:
        """Client.close is AsyncClient.aclose."""
        assert isinstance(self._inner, AsyncClient)
        self._loop.run_until_complete(self._inner.aclose())

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._inner)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if not callable(value):
            return value

        def call(*args: object, **kwargs: object) -> Any:
            return self._wrap(value(*args, **kwargs))

        return call

    def _wrap(self, value: Any) -> Any:
        if inspect.iscoroutine(value):
            coroutine: Coroutine[Any, Any, Any] = value
            return self._wrap(self._loop.run_until_complete(coroutine))
        if inspect.isasyncgen(value):
            return self._each(cast("AsyncGenerator[Any, None]", value))
        return Blocking(self._loop, value) if isinstance(value, HANDLES) else value

    def _each(self, items: AsyncGenerator[Any, None]) -> Generator[Any, None, None]:
        end = object()
        try:
            while (item := self._loop.run_until_complete(self._next(items, end))) is not end:
                yield item
        finally:
            # The loop is closed if a test did not read to the end, and the garbage collector closes this generator.
            if not self._loop.is_closed():
                self._loop.run_until_complete(items.aclose())

    async def _next(self, items: AsyncGenerator[Any, None], end: object) -> Any:
        return await anext(items, end)
