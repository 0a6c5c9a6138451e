"""Runs one handler for one request, in plain terms; `component` connects it to the WIT."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from brrr import codec, convert, errors, findings
from brrr.app import App
from brrr.describe import describe, describe_permanent
from brrr.errors import PermanentError, RetryableError
from brrr.handlers import Task, registry
from brrr.host import Failure, Host, Request
from brrr.loop import Loop


@dataclass(frozen=True)
class Retryable:
    """The handler failed and may succeed if run again."""

    message: str
    details: bytes | None = None


@dataclass(frozen=True)
class Lasting:
    """The handler will fail however often it is run."""

    message: str
    details: bytes | None = None


@dataclass(frozen=True)
class ChildFailed:
    """A child's failure that the handler did not catch."""

    failure: Failure


def handle(request: Request, host: Host) -> bytes | Retryable | Lasting | ChildFailed:
    """Runs the handler of the request's task: its result as bytes, or how it failed."""
    try:
        task = registry.get(request.task)
        if task is None:
            raise PermanentError(f"no handler for the task {request.task!r}")
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
        alone = isinstance(error, PermanentError)
        return Lasting(*_with_details(error, PermanentError, describe_permanent(error) if alone else describe(error)))
    if failure := errors.child_failure(error):
        return ChildFailed(failure)
    alone = type(error) is RetryableError  # its name says nothing that its author has not said
    return Retryable(*_with_details(error, RetryableError, describe_permanent(error) if alone else describe(error)))


def _with_details(
    error: BaseException, kind: type[PermanentError | RetryableError], message: str
) -> tuple[str, bytes | None]:
    try:
        return message, errors.details_of(error, kind)
    except codec.NotJSONError as reason:
        return f"{message}\n(its details are left out, as they are not JSON: {reason})", None


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
            raise PermanentError(f"the raw handler of {task.name} must return bytes, not {type(result).__name__}")
        return result
    # What can't be decoded or encoded now never can.
    try:
        args, kwargs = codec.decode_args(request.payload)
    except (ValueError, RecursionError) as error:
        raise PermanentError(f"the payload is not a JSON list of arguments: {error}") from None
    try:
        args, kwargs = task.signature.convert_arguments(args, kwargs)
    except convert.MismatchError as error:
        raise PermanentError(f"an argument of {task.name} has another type: {error}") from None
    result = await _call(task, [app, *args] if task.takes_app else args, kwargs)
    try:
        return codec.encode_result(result)
    except codec.NotJSONError as error:
        raise PermanentError(f"the result is not JSON: {error}") from None


async def _call(task: Task[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    try:
        result = task.fn(*args, **kwargs)
    except TypeError as error:
        # Raised by the call itself, not in the function: the caller's arguments are not the handler's.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise PermanentError(str(error)) from None
        raise
    return await result if inspect.isawaitable(result) else result
