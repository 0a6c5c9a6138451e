"""Handlers run on the SDK's event loop against a fake host: which calls make a batch, and what comes out."""

import asyncio
import json
from typing import Any

import brrr
import pytest
from brrr import codec, serve
from brrr.host import Invocation, Outcome
from conftest import FakeHost, Poll, Suspended, fail, request_for


def echo(call: Invocation) -> Outcome:
    """Every call gives its own argument `i` back; the task `bad` fails."""
    if call.task == "bad":
        return fail("bad")
    return codec.encode_result(json.loads(call.payload)[0].get("i"))


def run(task: brrr.Task[..., Any], host: FakeHost | None = None, **kwargs: Any) -> tuple[Any, FakeHost]:
    host = host or FakeHost(echo)
    payload = codec.encode_arguments(kwargs)
    result = serve.handle(request_for(task.name, payload), host)
    if host.suspended:
        raise Suspended
    return (codec.decode_result(result) if isinstance(result, bytes) else result), host


def batches(host: FakeHost) -> list[list[int]]:
    return [[json.loads(call[call.index("["):])[0]["i"] for call in calls] for calls in (poll.calls for poll in host.polls)]


async def chain(app: brrr.App, *steps: int) -> int:
    return sum([await app.call("echo")(i=i) for i in steps])


def test_gather_of_every_kind_is_one_batch() -> None:
    @brrr.handler
    async def of_app(app):
        return await app.gather(app.call("echo")(i=1), app.call("echo")(i=2))

    @brrr.handler
    async def of_asyncio(app):
        return await asyncio.gather(app.call("echo")(i=1), app.call("echo")(i=2))

    @brrr.handler
    async def of_task_group(app):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(app.call("echo")(i=i)) for i in (1, 2)]
        return [task.result() for task in tasks]

    for task in (of_app, of_asyncio, of_task_group):
        result, host = run(task)
        assert result == [1, 2]
        assert host.polls == [Poll(['echo[{"i": 1}]', 'echo[{"i": 2}]'], "all", None)]


def test_a_batch_is_a_barrier() -> None:
    @brrr.handler
    async def tree(app):
        return await app.gather(chain(app, 1, 2, 3), chain(app, 10), chain(app, 20, 30))

    result, host = run(tree)
    assert result == [6, 10, 50]
    assert batches(host) == [[1, 10, 20], [2, 30], [3]]


def test_every_replay_makes_the_same_batches() -> None:
    @brrr.handler
    async def tree(app):
        first = await app.gather(chain(app, 1, 2), chain(app, 10, 20), bad(app), return_exceptions_of(app))
        return first, await app.call("echo")(i=99)

    async def bad(app):
        try:
            await app.call("bad")(i=5)
        except brrr.CallFailedError as error:
            return error.kind

    async def return_exceptions_of(app):
        results = await asyncio.gather(app.call("bad")(i=6), chain(app, 7, 8), return_exceptions=True)
        return [str(result) for result in results]

    known: dict[bytes, Outcome] = {}
    runs = []
    while True:
        host = FakeHost(lambda call: known.get(call.task.encode() + call.payload))
        try:
            result, _ = run(tree, host)
        except Suspended:
            runs.append(batches(host))
            # The last batch's calls are computed, last one first: the order of completion must not matter.
            for name in reversed(host.polls[-1].calls):
                task, payload = name[: name.index("[")], name[name.index("["):].encode()
                known[task.encode() + payload] = echo(Invocation(task, payload))
            continue
        break
    final = batches(host)
    assert final == [[1, 10, 5, 6, 7], [2, 20, 8], [99]]
    assert runs == [final[: i + 1] for i in range(len(final))]
    assert result == [[3, 30, "error", ["boom", "15"]], 99]


def test_a_childs_failure_can_be_caught() -> None:
    @brrr.handler
    async def catches(app):
        try:
            await app.call("bad")()
        except brrr.CallFailedError as error:
            return [error.kind, error.task, error.message, error.attempts, error.chain]

    assert run(catches)[0] == ["error", "bad", "boom", 1, ["bad: boom"]]


def test_an_uncaught_failure_of_a_child_is_passed_on() -> None:
    @brrr.handler
    async def plain(app):
        await app.gather(chain(app, 1, 2), app.call("bad")(i=0))

    @brrr.handler
    async def grouped(app):
        async with asyncio.TaskGroup() as group:
            group.create_task(chain(app, 1, 2))
            group.create_task(chain_of_bad(app))

    async def chain_of_bad(app):
        await app.call("bad")(i=0)

    for task in (plain, grouped):
        result, host = run(task)
        assert result == serve.ChildFailed(fail("bad"))
        assert batches(host) == [[1, 0]], "nothing may be asked for after the handler has failed"


def test_first_takes_what_the_host_chose() -> None:
    @brrr.handler
    async def race(app):
        return await app.first(app.call("echo")(i=1), app.call("echo")(i=2), app.call("echo")(i=3))

    host = FakeHost(lambda call: echo(call) if b"2" in call.payload else None)
    result, host = run(race, host)
    assert result == 2
    assert [poll.want for poll in host.polls] == [1]


def test_first_raises_if_a_failure_comes_first() -> None:
    @brrr.handler
    async def race(app):
        return await app.first(app.call("echo")(i=1), app.call("bad")(i=2))

    host = FakeHost(lambda call: echo(call) if call.task == "bad" else None)
    assert run(race, host)[0] == serve.ChildFailed(fail("bad"))


def test_some_gives_results_and_failures_in_place() -> None:
    @brrr.handler
    async def quorum(app):
        results = await app.some(2, app.call("echo")(i=1), app.call("bad")(i=2), app.call("echo")(i=3))
        return [str(result) for result in results]

    assert run(quorum)[0] == ["1", "boom", "None"]


def test_a_race_beside_other_calls_is_asked_in_the_same_round() -> None:
    @brrr.handler
    async def both(app):
        return await app.gather(app.first(app.call("echo")(i=1), app.call("echo")(i=2)), chain(app, 3, 4))

    result, host = run(both)
    assert result == [1, 7]
    assert batches(host) == [[1, 2, 3], [4]]


def test_sleeps_at_the_same_time() -> None:
    @brrr.handler
    async def sleeps(app):
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(60))
        return loop.time() - before

    result, host = run(sleeps)
    assert result == 3600
    assert host.slept == [60, 3540] and host.polls == []


def test_time_that_passes_meanwhile_makes_no_negative_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(host: FakeHost) -> float:
        host.clock += 0.6
        return host.clock

    monkeypatch.setattr(FakeHost, "now", later)

    @brrr.handler
    async def sleeps(app):
        await asyncio.sleep(1)
        return "slept"

    result, host = run(sleeps)
    assert result == "slept"
    # The timer became due between two looks at the clock.
    assert host.slept == [0.0]


def test_a_wait_that_never_ends_is_an_error() -> None:
    @brrr.handler
    async def stuck(app):
        await asyncio.Event().wait()

    result, _ = run(stuck)
    assert isinstance(result, serve.Lasting) and "no call or timer" in result.message


def test_a_cancelled_call_is_not_made() -> None:
    @brrr.handler
    async def cancels(app):
        task = asyncio.ensure_future(app.call("echo")(i=1))
        await asyncio.sleep(0)
        task.cancel()
        return await app.call("echo")(i=2)

    result, host = run(cancels)
    assert result == 2
    assert batches(host) == [[2]]


def test_own_errors_are_retryable_and_show_the_users_frames() -> None:
    def helper():
        raise KeyError("missing")

    @brrr.handler_no_arg
    async def fails():
        helper()

    result, _ = run(fails)
    assert isinstance(result, serve.Retryable)
    lines = result.message.splitlines()
    assert lines[0] == "KeyError: 'missing'"
    assert len(lines) == 3 and "helper (test_handlers.py:" in lines[1] and "fails (test_handlers.py:" in lines[2]


def test_permanent_errors() -> None:
    @brrr.handler_no_arg
    async def gives_up():
        raise brrr.PermanentError("no use")

    @brrr.handler_no_arg
    async def unserialisable():
        return {1, 2}

    assert run(gives_up)[0] == serve.Lasting("no use")
    assert "the result is not JSON" in run(unserialisable)[0].message
    assert "wrong" in run(gives_up, wrong=1)[0].message
    assert "no handler" in serve.handle(request_for("nobody"), FakeHost(echo)).message
    assert "not a JSON list" in serve.handle(request_for("gives_up", b"3"), FakeHost(echo)).message


def test_a_permanent_error_in_a_task_group_is_permanent() -> None:
    async def gives_up():
        raise brrr.PermanentError("no use")

    @brrr.handler
    async def grouped(app):
        async with asyncio.TaskGroup() as group:
            group.create_task(chain(app, 1))
            group.create_task(gives_up())

    result = run(grouped)[0]
    assert isinstance(result, serve.Lasting) and "1. brrr.PermanentError: no use" in result.message


def test_a_failure_beside_an_error_of_ones_own_is_retryable() -> None:
    async def crashes():
        raise KeyError("own")

    @brrr.handler
    async def grouped(app):
        async with asyncio.TaskGroup() as group:
            for coroutine in (bad(app), crashes()):
                group.create_task(coroutine)

    async def bad(app):
        await app.call("bad")(i=0)

    assert isinstance(run(grouped)[0], serve.Retryable)


def test_the_time_left() -> None:
    @brrr.handler
    async def patient(app):
        turns = 0
        while app.is_active() and app.time_left() > 2:
            await asyncio.sleep(1)
            turns += 1
        return turns, app.time_left()

    @brrr.handler
    async def late(app):
        await asyncio.sleep(60)
        return app.is_active()

    assert run(patient)[0] == [8, 2]
    assert run(late)[0] is False


def test_arguments_by_place_are_the_same_call() -> None:
    @brrr.handler
    async def fib(app, n, salt=None, *, keep=False):
        return n

    @brrr.handler_no_arg
    async def plain(n):
        return n

    seen: list[Invocation] = []

    @brrr.handler
    async def calls(app):
        for call in (app.call(fib)(1), app.call(fib)(n=1), app.call(fib)(1, "a", keep=True), app.call(plain)(2)):
            await call

    run(calls, FakeHost(lambda call: seen.append(call) or b"1"))
    assert [call.payload for call in seen] == [
        b'[{"n": 1}]',
        b'[{"n": 1}]',
        b'[{"keep": true, "n": 1, "salt": "a"}]',
        b'[{"n": 2}]',
    ]
    app = brrr.App(request_for("calls"))
    with pytest.raises(TypeError, match="takes 2 arguments by place, and 3 were given"):
        app.call(fib)(1, "a", True)
    with pytest.raises(TypeError, match="several values for the argument n"):
        app.call(fib)(1, n=2)
    with pytest.raises(TypeError, match="by name"):
        app.call("fib")(1)


def test_raw_bytes_and_explicit_hashes() -> None:
    @brrr.handler_raw
    async def raw(app, payload):
        return await app.call_raw("echo", payload + b"!", topic="there", call_hash="mine") + b"?"

    seen = []
    host = FakeHost(lambda call: seen.append(call) or b"pong")
    assert serve.handle(request_for("raw", b"\x00"), host) == b"pong?"
    assert seen == [Invocation("echo", b"\x00!", "there", "mine")]


def test_names() -> None:
    @brrr.handler(name="other")
    async def named(app):
        return None

    assert named.name == "other"
    with pytest.raises(ValueError, match="two handlers"):
        brrr.handler(name="other")(named.fn)
