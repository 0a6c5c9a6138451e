"""Executes the steps of operations on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Concatenate, ParamSpec, TypeVar

import httpx

from brrr_client._core.network import ERRORS, broken
from brrr_client._core.settings import LIMITS, Settings
from brrr_client._core.steps import Answer, Broken, Done, Give, Listing, Open, Operation, Pause, Read, Reply, Request, Work

P = ParamSpec("P")
T = TypeVar("T")


class Shell:
    """The connections of a client. They belong to one event loop."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient | None) -> None:
        self.settings = settings
        self._http = httpx.AsyncClient(limits=LIMITS) if http is None else http
        self._owned = http is None

    async def close(self) -> None:
        """Closes the connections, unless the caller of the client gave them."""
        if self._owned:
            await self._http.aclose()

    async def run(
        self, operation: Callable[Concatenate[Settings, P], Operation[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Executes an operation, and returns its result."""
        steps = operation(self.settings, *args, **kwargs)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                value: T = end.value
                return value
            reply = await self._do(step)

    async def each(
        self, operation: Callable[Concatenate[Settings, P], Listing[T]], *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Executes an operation, and yields its items. No step is executed before the caller needs the next item."""
        steps = operation(self.settings, *args, **kwargs)
        stream = _Stream()
        reply: Reply = None
        try:
            while True:
                try:
                    step = steps.send(reply)
                except StopIteration:
                    return
                reply = None
                if isinstance(step, Give):
                    yield step.item
                elif isinstance(step, Open):
                    reply = await stream.open(self._http, self._build(step.request))
                elif isinstance(step, Read):
                    reply = await stream.read()
                else:
                    reply = await self._do(step)
        finally:
            await stream.close()

    async def _do(self, step: Request | Pause | Work) -> Reply:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if isinstance(step, Work):
            return Done(await asyncio.to_thread(step.run))
        try:
            response = await self._http.send(self._build(step))
        except ERRORS as error:
            return broken(error)
        return Answer(response.status_code, response.headers, response.content)

    def _build(self, request: Request) -> httpx.Request:
        return self._http.build_request(
            request.method,
            self.settings.address(request),
            headers=self.settings.headers(request),
            content=request.content,
            timeout=self.settings.limits(request),
        )


class _Stream:
    """The body of an answer, which is read in pieces."""

    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def open(self, http: httpx.AsyncClient, request: httpx.Request) -> Answer | Broken:
        await self.close()
        try:
            response = self._response = await http.send(request, stream=True)
            self._pieces = response.aiter_bytes()
            content = b"" if response.status_code == 200 else await response.aread()
        except ERRORS as error:
            return broken(error)
        return Answer(response.status_code, response.headers, content)

    async def read(self) -> bytes | Broken | None:
        assert self._pieces is not None
        try:
            return await anext(self._pieces, None)
        except ERRORS as error:
            return broken(error)

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
            self._response = None
