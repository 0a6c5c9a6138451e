"""How a module says which tasks it handles."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, Unpack, overload

from brrr.describe import keep_source
from brrr.options import HandlerOptions, Options
from brrr.signature import Signature
from brrr.text import clean

if TYPE_CHECKING:
    from brrr.app import App

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A task with its handler: `app.call(task)(...)` calls it through the host, `task.fn(...)` is the function."""

    def __init__(self, fn: Callable[..., Any], name: str, options: Options, *, takes_app: bool, raw: bool) -> None:
        self.fn = fn
        self.name = name
        self.options = options
        self.takes_app = takes_app
        self.raw = raw
        self.__doc__ = fn.__doc__
        keep_source(fn.__code__.co_filename)

    @cached_property
    def signature(self) -> Signature:
        """Its parameters. Not before all of its module is there: an annotation may name what comes later."""
        return Signature(self.fn, self.takes_app)

    def described(self) -> Options:
        """Its options, with the description and the schemas that its docstring and its annotations give."""
        options = self.options
        if options.description is None and self.fn.__doc__:
            options = replace(options, description=clean(inspect.cleandoc(self.fn.__doc__)))
        if self.raw:
            return options
        schemas = self.signature.schemas()
        return replace(
            options,
            input_schema=schemas["input"] if options.input_schema is None else options.input_schema,
            output_schema=schemas.get("output") if options.output_schema is None else options.output_schema,
        )

    def __repr__(self) -> str:
        return f"<brrr task {self.name!r}>"


registry: dict[str, Task[..., Any]] = {}
"""All tasks of the component, by name, in the order they were defined."""


def _register(
    fn: Callable[..., Any], name: str | None, options: Options, *, takes_app: bool = True, raw: bool = False
) -> Task[..., Any]:
    task: Task[..., Any] = Task(fn, clean(name or fn.__name__), options, takes_app=takes_app, raw=raw)
    if task.name in registry:
        raise ValueError(f"two handlers for the task {task.name!r}")
    registry[task.name] = task
    return task


@overload
def handler(fn: Callable[Concatenate[App, P], Awaitable[R]], /) -> Task[P, R]: ...
@overload
def handler(
    *, name: str | None = None, **options: Unpack[HandlerOptions]
) -> Callable[[Callable[Concatenate[App, P], Awaitable[R]]], Task[P, R]]: ...
def handler(fn: Any = None, /, *, name: str | None = None, **options: Unpack[HandlerOptions]) -> Any:
    """Makes a function the handler of a task; its first parameter is the `app` that it calls other tasks with.

    Used plainly (`@brrr.handler`) or with a name and `Options` (`@brrr.handler(timeout=10, max_retries=3)`).
    """
    if fn is not None:
        return _register(fn, name, Options())
    return lambda fn: _register(fn, name, Options(**options))


@overload
def handler_no_arg(fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
@overload
def handler_no_arg(
    *, name: str | None = None, **options: Unpack[HandlerOptions]
) -> Callable[[Callable[P, Awaitable[R]]], Task[P, R]]: ...
def handler_no_arg(fn: Any = None, /, *, name: str | None = None, **options: Unpack[HandlerOptions]) -> Any:
    """Like `handler`, for a function that takes no `app`."""
    if fn is not None:
        return _register(fn, name, Options(), takes_app=False)
    return lambda fn: _register(fn, name, Options(**options), takes_app=False)


RawHandler = Callable[["App", bytes], Awaitable[bytes]]


@overload
def handler_raw(fn: RawHandler, /) -> Task[[bytes], bytes]: ...
@overload
def handler_raw(
    *, name: str | None = None, **options: Unpack[HandlerOptions]
) -> Callable[[RawHandler], Task[[bytes], bytes]]: ...
def handler_raw(fn: Any = None, /, *, name: str | None = None, **options: Unpack[HandlerOptions]) -> Any:
    """Like `handler`, for a function of the payload's bytes that returns the result's. Call it with `app.call_raw`."""
    if fn is not None:
        return _register(fn, name, Options(), raw=True)
    return lambda fn: _register(fn, name, Options(**options), raw=True)
