"""Runs one handler for one request, in plain terms; `component` connects it to the WIT."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from brrr import codec, errors, findings
from brrr.app import App
from brrr.describe import describe, describe_permanent
from brrr.errors import Permanent
from brrr.handlers import Task, registry
from brrr.host import Failure, Host, Request
from brrr.loop import Loop


@dataclass(frozen=True)
class Retryable:
    """The handler failed and may succeed if run again."""

    message: str


@dataclass(frozen=True)
class Lasting:
    """The handler will fail however often it is run."""

    message: str


@dataclass(frozen=True)
class ChildFailed:
    """A child's failure that the handler did not catch."""

    failure: Failure


def handle(request: Request, host: Host) -> bytes | Retryable | Lasting | ChildFailed:
    """Runs the handler of the request's task: its result as bytes, or how it failed."""
    try:
        task = registry.get(request.task)
        if task is None:
            raise Permanent(f"no handler for the task {request.task!r}")
        return run(task, request, host)
    # Also CancelledError, GeneratorExit, SystemExit and what else is no `Exception`: nothing may leave a component but by
    # its interface.
    except BaseException as error:
        try:
            return failed(error)
        except BaseException:  # The handler's exceptions may be anything inside.
            return Retryable(describe(error))


def failed(error: BaseException) -> Retryable | Lasting | ChildFailed:
    """What an error that a handler ended with means to the host."""
    if errors.is_permanent(error):
        alone = isinstance(error, Permanent)
        return Lasting(describe_permanent(error) if alone else describe(error))
    failure = errors.child_failure(error)
    return ChildFailed(failure) if failure else Retryable(describe(error))


def run(task: Task[..., Any], request: Request, host: Host) -> bytes:
    """Runs a handler: its result as bytes. Raises what it raises."""
    app, loop = App(request), Loop(host)
    try:
        result = loop.run(_run(task, request, app))
        for finding in findings.of(app, loop):
            host.warn(finding)
        return result
    finally:
        loop.close()


async def _run(task: Task[..., Any], request: Request, app: App) -> bytes:
    if task.raw:
        result = await _call(task, [app, request.payload], {})
        if not isinstance(result, bytes):
            raise Permanent(f"the raw handler of {task.name} must return bytes, not {type(result).__name__}")
        return result
    # What can't be decoded or encoded now never can.
    try:
        args, kwargs = codec.decode_args(request.payload)
    except (ValueError, RecursionError) as error:
        raise Permanent(f"the payload is not a JSON list of arguments: {error}") from None
    result = await _call(task, [app, *args] if task.takes_app else args, kwargs)
    try:
        return codec.encode_result(result)
    except codec.NotJSON as error:
        raise Permanent(f"the result is not JSON: {error}") from None


async def _call(task: Task[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        result = task.fn(*args, **kwargs)
    except TypeError as error:
        # Raised by the call itself, not in the function: the caller's arguments are not the handler's.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise Permanent(str(error)) from None
        raise
    return await result if inspect.isawaitable(result) else result
