"""Executes the steps of operations. The caller's thread blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Concatenate, ParamSpec, TypeVar

import httpx

from brrr_client._core.network import ERRORS, broken
from brrr_client._core.settings import LIMITS, Settings
from brrr_client._core.steps import Answer, Broken, Done, Give, Listing, Open, Operation, Pause, Read, Reply, Request, Work

P = ParamSpec("P")
T = TypeVar("T")


class Shell:
    """The connections of a client. Several threads may use them."""

    def __init__(self, settings: Settings, http: httpx.Client | None) -> None:
        self.settings = settings
        self._http = httpx.Client(limits=LIMITS) if http is None else http
        self._owned = http is None

    def close(self) -> None:
        """Closes the connections, unless the caller of the client gave them."""
        if self._owned:
            self._http.close()

    def run(self, operation: Callable[Concatenate[Settings, P], Operation[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Executes an operation, and returns its result."""
        steps = operation(self.settings, *args, **kwargs)
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                value: T = end.value
                return value
            reply = self._do(step)

    def each(
        self, operation: Callable[Concatenate[Settings, P], Listing[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Generator[T, None, None]:
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
                    reply = stream.open(self._http, self._build(step.request))
                elif isinstance(step, Read):
                    reply = stream.read()
                else:
                    reply = self._do(step)
        finally:
            stream.close()

    def _do(self, step: Request | Pause | Work) -> Reply:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if isinstance(step, Work):
            return Done(step.run())
        try:
            response = self._http.send(self._build(step))
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
        self._pieces: Iterator[bytes] = iter(())

    def open(self, http: httpx.Client, request: httpx.Request) -> Answer | Broken:
        self.close()
        try:
            response = self._response = http.send(request, stream=True)
            self._pieces = response.iter_bytes()
            content = b"" if response.status_code == 200 else response.read()
        except ERRORS as error:
            return broken(error)
        return Answer(response.status_code, response.headers, content)

    def read(self) -> bytes | Broken | None:
        try:
            return next(self._pieces, None)
        except ERRORS as error:
            return broken(error)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
