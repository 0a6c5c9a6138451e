"""What a handler's exceptions look like to the host: nothing of them is lost, and nothing of them is a trap."""

import asyncio
import io
from typing import Any

import brrr
import pytest
from brrr import serve, text
from conftest import FakeHost, fail
from test_handlers import run


def message(task: brrr.Task[..., Any], kind: type = serve.Retryable) -> list[str]:
    """The lines of the failure that it ends with; the frames end where the source's line begins."""
    result, _ = run(task)
    assert isinstance(result, kind), result
    return [line.split(" (test_")[0] for line in result.message.splitlines()]


def test_causes_are_shown() -> None:
    @brrr.handler_no_arg
    async def caused():
        try:
            {}["price"]
        except KeyError as error:
            raise ValueError("the order is incomplete") from error

    assert message(caused) == [
        "ValueError: the order is incomplete",
        "  at test_causes_are_shown.<locals>.caused",
        "caused by KeyError: 'price'",
        "  at test_causes_are_shown.<locals>.caused",
    ]


def test_what_was_handled_is_shown_unless_it_was_meant_to_be_hidden() -> None:
    async def fails(hide):
        try:
            {}["price"]
        except KeyError:
            if hide:
                raise ValueError("incomplete") from None
            raise ValueError("incomplete")

    @brrr.handler_no_arg
    async def shown():
        await fails(False)

    @brrr.handler_no_arg
    async def hidden():
        await fails(True)

    assert "while handling KeyError: 'price'" in message(shown)
    assert not any("KeyError" in line for line in message(hidden))


def test_groups_and_notes_are_shown() -> None:
    async def part(i):
        error = ValueError(f"part {i} has no price")
        error.add_note(f"of order {i}")
        raise error

    @brrr.handler
    async def grouped(app):
        async with asyncio.TaskGroup() as group:
            for i in range(2):
                group.create_task(part(i))

    name = "test_groups_and_notes_are_shown.<locals>"
    assert message(grouped) == [
        "ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)",
        f"  at {name}.grouped",
        "  1. ValueError: part 0 has no price",
        "     of order 0",
        f"       at {name}.part",
        "  2. ValueError: part 1 has no price",
        "     of order 1",
        f"       at {name}.part",
    ]


def test_a_permanent_error_has_its_own_words_and_its_causes() -> None:
    @brrr.handler_no_arg
    async def gives_up():
        try:
            {}["price"]
        except KeyError as error:
            permanent = brrr.PermanentError("no use")
            permanent.add_note("ask the shop")
            raise permanent from error

    @brrr.handler_no_arg
    async def wordless():
        raise brrr.PermanentError

    lines = message(gives_up, serve.Lasting)
    assert lines[:3] == ["no use", "ask the shop", "caused by KeyError: 'price'"]
    assert message(wordless, serve.Lasting)[0] == "brrr.PermanentError"


class Own(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, Own, StopIteration, MemoryError]
)
def test_every_base_exception_is_an_ordinary_failure(error: type[BaseException]) -> None:
    @brrr.handler_no_arg
    async def raises():
        raise error("why")

    @brrr.handler
    async def in_a_task(app):
        async def inner():
            raise error("why")

        await asyncio.create_task(inner())

    @brrr.handler
    async def in_a_group(app):
        async with asyncio.TaskGroup() as group:
            group.create_task(app.call("echo")(i=1))
            raise error("why")

    for task in (raises, in_a_task, in_a_group):
        result, _ = run(task)
        assert isinstance(result, serve.Retryable)
        assert error.__name__ in result.message and (error is asyncio.CancelledError or "why" in result.message)


def test_a_task_that_was_cancelled_and_awaited() -> None:
    @brrr.handler
    async def cancelled(app):
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert "CancelledError" in message(cancelled)[0]


def test_a_limit_that_was_exceeded_is_one_error() -> None:
    @brrr.handler
    async def late(app):
        async with asyncio.timeout(1):
            await asyncio.sleep(2)

    assert message(late) == ["TimeoutError", f"  at {late.fn.__qualname__}"]


class Awkward(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_awkward_exceptions() -> None:
    @brrr.handler_no_arg
    async def textless():
        raise Awkward

    @brrr.handler_no_arg
    async def textless_permanent():
        class Awkward(brrr.PermanentError):
            __str__ = property()  # type: ignore[assignment]

        raise Awkward

    @brrr.handler_no_arg
    async def circular():
        a, b = ValueError("a"), ValueError("b")
        a.__cause__, b.__cause__ = b, a
        raise a

    @brrr.handler_no_arg
    async def deep():
        error: Exception = ValueError("first")
        for i in range(5000):
            outer = ValueError(i)
            outer.__cause__ = error
            error = outer
        raise error

    @brrr.handler_no_arg
    async def wide():
        raise ExceptionGroup("many", [ValueError(i) for i in range(1000)])

    @brrr.handler_no_arg
    async def long():
        raise ValueError("x" * 100_000) from ValueError("the cause")

    assert "Awkward" in message(textless)[0]
    assert "Awkward" in message(textless_permanent, serve.Lasting)[0]
    assert [line for line in message(circular) if "Value" in line] == ["ValueError: a", "caused by ValueError: b"]
    assert len(message(deep)) < 50 and "caused by more" in message(deep)[-1]
    assert len(message(wide)) < 60 and message(wide)[-1] == "  … and 980 more"
    assert "caused by ValueError: the cause" in message(long) and len("".join(message(long))) < 10_000


def test_text_that_is_no_unicode_is_replaced() -> None:
    @brrr.handler_no_arg
    async def fails():
        raise ValueError("ab\ud83d") from KeyError("\ude00c")

    @brrr.handler_no_arg
    async def gives_up():
        raise brrr.PermanentError("ab\ud83d")

    @brrr.handler_no_arg
    async def whole():
        raise brrr.PermanentError("\ud83d\ude00")

    assert run(fails)[0].message.encode().startswith("ValueError: ab\ufffd\n".encode())
    assert run(gives_up)[0] == serve.Lasting("ab\ufffd")
    assert run(whole)[0] == serve.Lasting("\U0001f600")


def test_a_module_that_is_not_in_the_component_comes_with_advice() -> None:
    @brrr.handler_no_arg
    async def imports():
        import no_such_module  # noqa: F401

    assert "import it at the top" in message(imports)[1]


def test_several_failed_calls_are_all_named() -> None:
    async def calls(app, task):
        try:
            await app.call(task)()
        except brrr.CallFailedError as error:
            error.add_note(f"while asking {task}")
            raise

    @brrr.handler
    async def grouped(app):
        results = await asyncio.gather(calls(app, "bad"), calls(app, "worse"), return_exceptions=True)
        raise ExceptionGroup("both", results)

    result, _ = run(grouped, FakeHost(lambda call: fail(call.task, f"{call.task} thing")))
    assert isinstance(result, serve.ChildFailed)
    assert result.failure.task == "bad"
    assert result.failure.message.splitlines() == [
        "bad thing",
        "a call of worse failed too: error: worse thing",
        "while asking bad",
        "while asking worse",
    ]


def test_a_failure_that_a_handler_made_of_anything() -> None:
    @brrr.handler_no_arg
    async def odd():
        raise brrr.CallFailedError(brrr.Failure(None, 3, ValueError("odd"), -1, None))  # type: ignore[arg-type]

    assert isinstance(run(odd)[0], (serve.ChildFailed, serve.Retryable))


def test_streams_replace_what_is_no_unicode() -> None:
    bytes_ = io.BytesIO()
    stream = io.TextIOWrapper(bytes_, encoding="utf-8", errors=text.ERRORS)
    print("a\ud83d", "\udcff é", file=stream, flush=True)
    assert bytes_.getvalue().decode() == "a\ufffd \ufffd é\n"


def test_the_failure_of_a_call_as_a_cause_is_shown() -> None:
    @brrr.handler
    async def wraps(app):
        try:
            await app.call("bad")()
        except brrr.CallFailedError as error:
            raise ValueError("no price") from error

    assert "caused by brrr.CallFailedError: boom" in message(wraps)


def test_what_a_handler_leaves_behind_does_not_end_its_run() -> None:
    @brrr.handler
    async def leaves(app):
        async def stays():
            try:
                await asyncio.sleep(60)
            finally:
                raise SystemExit(3)

        asyncio.create_task(stays())
        await asyncio.sleep(0)
        return 1

    assert run(leaves)[0] == 1


def test_results_that_are_no_json() -> None:
    @brrr.handler_no_arg
    async def nan():
        return {"values": [1, float("nan")]}

    @brrr.handler
    async def asks(app):
        await app.call("echo")(i=[float("nan")])

    assert message(nan, serve.Lasting) == ["the result is not JSON: values[1] is NaN, which JSON does not have"]
    assert message(asks, serve.Lasting) == [
        "the arguments of echo are not JSON: i[0] is NaN, which JSON does not have"
    ]


