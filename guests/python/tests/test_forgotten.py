"""Calls as coroutines, and calls that nobody waits for."""

import asyncio
import warnings
from typing import Any

import brrr
import pytest
from brrr import findings, serve
from test_handlers import batches, run


def test_a_call_is_a_coroutine() -> None:
    @brrr.handler
    async def every_way(app):
        call = lambda i: app.call("echo")(i=i)  # noqa: E731
        async with asyncio.TaskGroup() as group:
            a = group.create_task(call(1))
            b = asyncio.create_task(call(2), name="second")
            c = asyncio.ensure_future(call(3))
            d = group.create_task(asyncio.wait_for(call(4), 1))
        done, _ = await asyncio.wait([asyncio.create_task(call(5))])
        async with asyncio.timeout(1):
            e = await call(6)
        shielded = await asyncio.shield(call(7))
        completed = sorted([await each for each in asyncio.as_completed([call(8), call(9)])])
        return [a.result(), b.result(), c.result(), d.result(), *[task.result() for task in done], e, shielded, *completed]

    result, host = run(every_way)
    assert result == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    *others, last = [sorted(batch) for batch in batches(host)]
    assert others == [[1, 2, 3, 4], [5], [6], [7], [8, 9]] and last in ([8], [9])
    assert host.warnings == []


def test_a_call_in_a_task_shows_its_name_and_can_be_cancelled() -> None:
    @brrr.handler
    async def cancels(app):
        task = asyncio.create_task(app.call("echo")(i=1))
        shown = repr(task)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return shown, task.cancelled()

    (shown, cancelled), host = run(cancels)
    assert "echo" in shown and cancelled
    assert host.polls == [] and host.warnings == []


def test_a_call_may_be_awaited_twice() -> None:
    @brrr.handler
    async def twice(app):
        call = app.call("echo")(i=1)
        return await call + await call

    assert run(twice)[0] == 2


def test_calls_that_nobody_waits_for_are_found() -> None:
    @brrr.handler
    async def floating(app):
        app.call("echo")(i=1)
        app.call_raw("raw", b"x")
        return "done"

    @brrr.handler
    async def several(app):
        kept = [app.call("echo")(i=i) for i in range(3)]
        await kept[0]
        return len(kept)

    @brrr.handler
    async def in_a_task(app):
        asyncio.create_task(app.call("echo")(i=1))
        return 1

    @brrr.handler
    async def in_a_task_that_has_begun(app):
        asyncio.create_task(app.call("echo")(i=1))
        await asyncio.sleep(0)
        return 1

    @brrr.handler
    async def detached(app):
        app.spawn("echo")(i=1)

    @brrr.handler
    async def race(app):
        asyncio.create_task(app.first(app.call("echo")(i=1), app.call("echo")(i=2)))
        await asyncio.sleep(0)

    def found(task: brrr.Task[..., Any]) -> list[str]:
        result, host = run(task)
        assert not isinstance(result, serve.Retryable), result
        return [warning.split(",")[0] for warning in host.warnings]

    assert found(floating) == ["brrr: the call of echo was never waited for", "brrr: the call of raw was never waited for"]
    assert found(several) == ["brrr: 2 calls of echo were never waited for"]
    assert found(in_a_task) == found(in_a_task_that_has_begun) == ["brrr: the call of echo was never waited for"]
    assert found(detached) == ["brrr: the call of echo was never waited for"]
    assert found(race) == ["brrr: 2 calls of echo were never waited for"]


def test_an_asyncio_task_that_failed_unseen_is_found() -> None:
    @brrr.handler
    async def unseen(app):
        async def fails():
            raise ValueError("nobody saw it")

        asyncio.create_task(fails(), name="background")
        await app.call("echo")(i=1)
        return "done"

    result, host = run(unseen)
    assert result == "done"
    (warning,) = host.warnings
    assert warning.startswith("brrr: ") and "the asyncio task background" in warning
    assert "ValueError: nobody saw it" in warning


def test_a_callback_that_failed_is_found() -> None:
    @brrr.handler_no_arg
    async def callback():
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    assert "ZeroDivisionError" in run(callback)[1].warnings[0]


def test_a_failed_handler_has_no_findings() -> None:
    @brrr.handler
    async def fails(app):
        app.call("echo")(i=1)
        raise ValueError("first of all")

    assert run(fails)[1].warnings == []


def test_a_coroutine_that_was_never_awaited_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
    shown: list[str] = []
    told: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
        findings.watch_coroutines(told.append)

        async def pays() -> None: ...

        pays()
        warnings.warn("something else", stacklevel=1)
    assert len(told) == 1 and told[0].startswith("brrr: the coroutine ") and "pays" in told[0]
    assert shown == ["something else"]


def test_what_was_not_awaited_in_a_result_is_named_with_its_place() -> None:
    async def helper() -> int:
        return 1

    @brrr.handler
    async def call(app):
        return {"x": app.call("echo")(i=1)}

    @brrr.handler
    async def itself(app):
        return app.call("echo")(i=1)

    @brrr.handler
    async def task(app):
        return [1, asyncio.create_task(app.call("echo")(i=1))]

    @brrr.handler
    async def argument(app):
        return await app.call("echo")(i=app.call("echo")(i=1))

    def end(task: brrr.Task[..., Any]) -> str:
        result, host = run(task)
        assert isinstance(result, serve.Lasting) and host.warnings == []
        return result.message

    assert "x is a call of echo that was not awaited" in end(call)
    assert "it is a call of echo that was not awaited" in end(itself)
    assert "[1] is a Task that was not awaited" in end(task)
    assert "arguments of echo are not JSON: i is a call of echo that was not awaited" in end(argument)


def test_a_race_takes_calls_only() -> None:
    @brrr.handler
    async def wrong(app):
        return await app.first(asyncio.Event())

    assert "a race is between calls" in run(wrong)[0].message
