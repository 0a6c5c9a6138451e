"""Which poll a handler's waiting makes: the calls, the wish and the time; and what it does with a part of the outcomes."""

import asyncio
import contextlib
import gc
import json
from collections.abc import Callable
from typing import Any

import brrr
import pytest
from brrr import codec, handlers, serve, warm
from brrr.host import Failure, Invocation, Outcome
from conftest import FakeHost, Poll, Suspended, fail
from test_handlers import run

Handler = Callable[[brrr.App], Any]


def number(call: Invocation) -> int:
    return json.loads(call.payload)[0]["i"]


def answering(*there: int) -> FakeHost:
    """The calls with these numbers have an outcome, their number; those above 100 fail."""

    def answer(call: Invocation) -> Outcome | None:
        i = number(call)
        if i not in there:
            return None
        return fail("echo", f"{i} fails") if i > 100 else codec.encode_result(i)

    return FakeHost(answer)


def asked(host: FakeHost) -> list[tuple[list[int], Any, float | None]]:
    """The numbers of the calls, the wish, and the seconds of each poll."""
    return [([json.loads(name[name.index("["):])[0]["i"] for name in poll.calls], poll.want, poll.until) for poll in host.polls]


def task_of(handler: Handler) -> brrr.Task[..., Any]:
    handlers.registry.pop(handler.__name__, None)
    return brrr.handler(handler)


def stopped(handler: Handler, *there: int) -> list[tuple[list[int], Any, float | None]]:
    """The polls of a run that had to wait."""
    host = answering(*there)
    with pytest.raises(Suspended):
        run(task_of(handler), host)
    return asked(host)


def ended(handler: Handler, *there: int) -> tuple[Any, list[tuple[list[int], Any, float | None]]]:
    host = answering(*there)
    result, _ = run(task_of(handler), host)
    return result, asked(host)


def call(app: brrr.App, i: int) -> brrr.Call[Any]:
    return app.call("echo")(i=i)


# One coroutine waits.


async def one(app):
    return await call(app, 1)


async def app_gather(app):
    return await app.gather(call(app, 1), call(app, 2))


async def asyncio_gather(app):
    return await asyncio.gather(call(app, 1), call(app, 2))


async def nested_gather(app):
    return await asyncio.gather(asyncio.gather(call(app, 1)), asyncio.gather(call(app, 2)))


async def group(app):
    async with asyncio.TaskGroup() as tasks:
        for i in (1, 2):
            tasks.create_task(call(app, i))


async def tasks_one_after_the_other(app):
    tasks = [asyncio.create_task(call(app, i)) for i in (1, 2)]
    return [await task for task in tasks]


async def wait_for_all(app):
    await asyncio.wait([asyncio.create_task(call(app, i)) for i in (1, 2)], return_when=asyncio.FIRST_EXCEPTION)


@pytest.mark.parametrize(
    "handler",
    [app_gather, asyncio_gather, nested_gather, group, tasks_one_after_the_other, wait_for_all],
)
def test_one_that_waits_for_several_asks_for_all(handler: Handler) -> None:
    assert [(sorted(calls), want) for calls, want, _ in stopped(handler)] == [([1, 2], "all")]


async def prefetch_by_task(app):
    task = asyncio.create_task(call(app, 1))
    return [await call(app, 2), await call(app, 3), await task]


async def prefetch_in_group(app):
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(call(app, 1))
        await asyncio.sleep(0)
        values = [await call(app, 2), await call(app, 3)]
    return [*values, task.result()]


@pytest.mark.parametrize("handler", [prefetch_by_task, prefetch_in_group])
def test_what_was_begun_before_is_not_waited_for(handler: Handler) -> None:
    polls = stopped(handler, 2)
    assert [(sorted(calls), want) for calls, want, _ in polls][0] == ([1, 2], "progress")
    assert 3 in polls[1][0], "it goes on with the call 2, whether 1 is there or not"
    assert ended(handler, 1, 2, 3)[0] == [2, 3, 1]


def test_one_call_is_asked_for_with_all() -> None:
    assert stopped(one) == [([1], "all", None)]


async def app_gather_each(app):
    return await app.gather(call(app, 1), call(app, 102), return_exceptions=True)


async def asyncio_gather_each(app):
    return await asyncio.gather(call(app, 1), call(app, 102), return_exceptions=True)


async def wait_for_each(app):
    tasks = [asyncio.create_task(call(app, i)) for i in (1, 102)]
    await asyncio.wait(tasks)
    return [task.exception() or task.result() for task in tasks]


@pytest.mark.parametrize("handler", [app_gather_each, asyncio_gather_each, wait_for_each])
def test_who_wants_every_outcome_asks_for_their_number(handler: Handler) -> None:
    async def shown(app):
        return [str(each) for each in await handler(app)]

    assert stopped(handler, 102) == [([1, 102], 2, None)]
    assert ended(shown, 1, 102)[0] == ["1", "102 fails"]


# Races.


async def first(app):
    return await app.first(call(app, 1), call(app, 2), call(app, 3))


async def first_completed(app):
    tasks = [asyncio.create_task(call(app, i)) for i in (1, 2, 3)]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return [task.result() for task in done][0]


async def as_completed(app):
    for each in asyncio.as_completed([call(app, i) for i in (1, 2, 3)]):
        return await each


@pytest.mark.parametrize("handler", [first, first_completed, as_completed])
def test_a_race_asks_for_one(handler: Handler) -> None:
    # `as_completed` makes a set of the calls.
    assert [(sorted(calls), want) for calls, want, _ in stopped(handler)] == [([1, 2, 3], 1)]
    result, polls = ended(handler, 2)
    assert (result, len(polls)) == (2, 1)
    assert ended(handler, 1, 2, 3)[0] in (1, 2, 3)


def test_a_race_of_n_asks_for_n() -> None:
    async def some(app):
        return await app.some(2, call(app, 1), call(app, 2), call(app, 3))

    assert stopped(some, 1) == [([1, 2, 3], 2, None)]
    assert ended(some, 1, 3)[0] == [1, None, 3]


def test_losers_of_a_race_are_not_waited_for() -> None:
    async def both(app):
        tasks = [asyncio.create_task(call(app, i)) for i in (1, 2)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        value = await call(app, 3)
        return value, await tasks[1]

    assert stopped(both, 1) == [([1, 2], 1, None), ([3], "all", None)]
    # Once the handler has come on, it is seen without waiting whether they have ended.
    race = [([1, 2], 1, None), ([3], "all", None), ([2], "progress", 0)]
    assert ended(both, 1, 2, 3) == ([3, 2], race)
    assert stopped(both, 1, 3) == [*race, ([2], "all", None)]


def test_a_race_beside_something_else_asks_for_progress() -> None:
    async def beside(app):
        return await asyncio.gather(app.some(2, call(app, 1), call(app, 2), call(app, 3)), call(app, 4))

    # One of the two is there: it is kept, and the rest is asked for again, in the same order.
    assert stopped(beside, 2) == [([1, 2, 3, 4], "progress", None), ([1, 3, 4], "progress", None)]
    # No more outcomes are taken than the race has asked for.
    assert ended(beside, 1, 2, 3, 4)[0] == [[1, 2, None], 4]


# Several coroutines.


async def sides(app):
    async def chain(k):
        for i in range(2):
            last = await call(app, 10 * k + i)
        return last

    return await asyncio.gather(chain(1), chain(2))


def test_several_that_go_on_independently_ask_for_progress() -> None:
    assert stopped(sides) == [([10, 20], "progress", None)]
    # What is there goes on, and the rest is asked for again, before what is new.
    assert stopped(sides, 20) == [([10, 20], "progress", None), ([10, 21], "progress", None)]
    assert stopped(sides, 10, 20, 21) == [([10, 20], "progress", None), ([11, 21], "progress", None), ([11], "all", None)]
    assert ended(sides, 10, 11, 20, 21)[0] == [11, 21]


def test_two_gathers_of_two_tasks_ask_for_progress() -> None:
    async def two(app):
        return await asyncio.gather(
            app.gather(call(app, 1), call(app, 2)), app.gather(call(app, 3), call(app, 4), return_exceptions=True)
        )

    assert stopped(two, 1) == [([1, 2, 3, 4], "progress", None), ([2, 3, 4], "progress", None)]
    assert ended(two, 1, 2, 3, 4)[0] == [[1, 2], [3, 4]]


def test_a_call_that_an_event_hangs_on_asks_for_progress() -> None:
    async def worker(app):
        event = asyncio.Event()

        async def tell():
            await call(app, 1)
            event.set()

        task = asyncio.create_task(tell())
        value = await call(app, 2)
        await event.wait()
        await task
        return value

    assert stopped(worker, 2) == [([2, 1], "progress", None), ([1], "all", None)]


# Failures.


async def app_fails(app):
    try:
        return await app.gather(call(app, 1), call(app, 102))
    except brrr.CallFailedError as error:
        return str(error), await call(app, 3)


async def asyncio_fails(app):
    try:
        return await asyncio.gather(call(app, 1), call(app, 102))
    except brrr.CallFailedError as error:
        return str(error), await call(app, 3)


async def group_fails(app):
    try:
        async with asyncio.TaskGroup() as tasks:
            for i in (1, 102):
                tasks.create_task(call(app, i))
    except* brrr.CallFailedError as errors:
        failed = str(errors.exceptions[0])
    return failed, await call(app, 3)


@pytest.mark.parametrize("handler", [app_fails, asyncio_fails, group_fails])
def test_the_first_failure_ends_the_wait(handler: Handler) -> None:
    result, polls = ended(handler, 102, 3)
    assert result == ["102 fails", 3]
    assert polls[:2] == [([1, 102], "all", None), ([3], "all", None)], "nobody waits for the call 1 any more"
    # asyncio does not cancel what was gathered.
    assert polls[2:] == ([([1], "progress", 0)] if handler is asyncio_fails else [])


# Times.


async def limited(app):
    try:
        return await asyncio.wait_for(call(app, 1), 1.5)
    except TimeoutError:
        return "too late"


async def limited_by_timeout(app):
    try:
        async with asyncio.timeout(1.5):
            return await call(app, 1)
    except TimeoutError:
        return "too late"


async def limited_by_wait(app):
    task = asyncio.create_task(call(app, 1))
    done, _ = await asyncio.wait([task], timeout=1.5, return_when=asyncio.FIRST_EXCEPTION)
    return task.result() if done else "too late"


@pytest.mark.parametrize("handler", [limited, limited_by_timeout, limited_by_wait])
def test_a_limit_goes_with_the_poll(handler: Handler) -> None:
    assert ended(handler) == ("too late", [([1], "all", 1.5)])
    assert ended(handler, 1) == (1, [([1], "all", 1.5)])


def test_the_same_call_can_be_waited_for_again() -> None:
    async def twice(app):
        late = await limited(app)
        return late, await call(app, 1)

    assert stopped(twice) == [([1], "all", 1.5), ([1], "all", None)]
    assert ended(twice, 1)[0] == [1, 1]


def test_a_sleep_beside_calls_goes_with_the_poll() -> None:
    async def beside(app):
        async def sleeps():
            await asyncio.sleep(0.0001)
            await asyncio.sleep(60)
            return await call(app, 3)

        return await asyncio.gather(call(app, 1), sleeps(), call(app, 2))

    # Rounded up to milliseconds; the second sleep begins when the first has ended, by the clock.
    assert stopped(beside)[:2] == [([1, 2], "all", 0.001), ([1, 2], "all", 60)]
    assert stopped(beside, 1, 2) == [([1, 2], "all", 0.001), ([3], "all", None)]


def test_only_the_earliest_timer_counts_and_no_cancelled_one() -> None:
    async def several(app):
        later = asyncio.get_running_loop().call_later(1, print)
        later.cancel()
        sleeps = [asyncio.create_task(asyncio.sleep(n, n)) for n in (30, 10, 20)]
        first = await asyncio.wait_for(call(app, 1), 5)
        return first, await asyncio.gather(*sleeps)

    host = answering(1)
    result, _ = run(brrr.handler(several), host)
    assert result == [1, [30, 10, 20]]
    assert asked(host) == [([1], "all", 5)] and host.slept == [10, 10, 10]


def test_an_outcome_goes_all_its_way_before_a_limit_that_has_passed_strikes() -> None:
    class Late(FakeHost):
        def poll(self, *args: Any) -> Any:
            outcomes = super().poll(*args)
            self.clock += 100  # the run that got the outcome began late
            return outcomes

    async def gathered(app):
        async with asyncio.timeout(1):
            return await asyncio.gather(call(app, 1), call(app, 2))

    async def then_another(app):
        async with asyncio.timeout(1):
            await call(app, 1)
            await call(app, 2)

    there = answering(1, 2).answer
    assert run(task_of(gathered), Late(there))[0] == [1, 2]
    host = Late(there)
    result, _ = run(task_of(then_another), host)
    assert isinstance(result, serve.Retryable) and "TimeoutError" in result.message
    assert asked(host) == [([1], "all", 1)], "the limit has passed before the second call"


def test_a_limit_that_has_passed_already_asks_for_nothing() -> None:
    async def none_left(app):
        try:
            async with asyncio.timeout(0):
                return await call(app, 1)
        except TimeoutError:
            return "too late"

    result, polls = ended(none_left, 1)
    assert (result, polls) == ("too late", [])


def test_a_call_that_was_begun_goes_on_beside_sleeps() -> None:
    async def prefetch(app):
        task = asyncio.create_task(call(app, 1))
        await asyncio.sleep(5)
        await asyncio.sleep(5)
        return await task

    host = answering()
    with pytest.raises(Suspended):
        run(brrr.handler(prefetch), host)
    assert asked(host) == [([1], "all", 5), ([1], "progress", 0), ([1], "all", None)] and host.slept == [5]


def test_a_call_in_the_background_is_done_some_day() -> None:
    async def looks(app):
        task = asyncio.create_task(call(app, 1))
        looked = 0
        while not task.done():
            await asyncio.sleep(10)
            looked += 1
        return looked, task.result()

    host = FakeHost(lambda call: b"1" if host.clock > 1035 else None)
    assert run(task_of(looks), host)[0] == [4, 1]


def test_times_are_whole_milliseconds_of_unix_time() -> None:
    seen = []

    class Exact(FakeHost):
        def poll(self, calls: Any, want: Any, until: Any) -> Any:
            seen.append(until)
            return super().poll(calls, want, until)

    async def loop(app):
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(call(app, 1), 0.1)

    run(brrr.handler(loop), Exact(lambda call: None))
    assert seen == [1_700_001_000_100, 1_700_001_000_200, 1_700_001_000_300]


def test_a_very_long_limit() -> None:
    async def forever(app):
        return await asyncio.wait_for(call(app, 1), float("inf"))

    assert ended(forever, 1)[0] == 1


# Promises.


def test_a_promise_is_a_call_of_the_host() -> None:
    seen: list[Invocation] = []

    @brrr.handler
    async def asks(app):
        return await asyncio.wait_for(app.promise("é"), 60)

    assert run(asks, FakeHost(lambda call: seen.append(call) or b'{"ok": true}'))[0] == {"ok": True}
    assert seen == [Invocation("brrr.promise", "é".encode(), None, None, ())]


def test_a_promise_is_raced_and_rejected() -> None:
    def answer(call: Invocation) -> Outcome | None:
        return Failure("rejected", "brrr.promise", "no", 1, ["no"], b'"why"') if call.task == "brrr.promise" else None

    @brrr.handler
    async def raced(app):
        try:
            return await app.first(app.promise("approval"), app.call("slow")())
        except brrr.CallFailedError as error:
            return error.kind, error.message, error.details

    result, host = run(raced, FakeHost(answer))
    assert result == ["rejected", "no", "why"]
    assert host.polls == [Poll(["brrr.promiseapproval", "slow[{}]"], 1, None)]


# Replays.


def test_every_replay_makes_the_same_polls_whatever_came_first() -> None:
    @brrr.handler
    async def all_kinds(app):
        async def slow():
            await asyncio.sleep(2)
            return await call(app, 20)

        results = await asyncio.gather(
            sides(app),
            app.some(1, call(app, 1), call(app, 2)),
            app.gather(call(app, 103), call(app, 4), return_exceptions=True),
            limited(app),
            slow(),
            return_exceptions=True,
        )
        return [str(result) for result in results]

    decided: list[list[Outcome | None]] = []

    class Deciding(FakeHost):
        """Answers as earlier runs were answered; then the last call of the poll, or the passing of its time, is new."""

        def poll(self, calls: Any, want: Any, until: Any) -> Any:
            at = len(self.polls)
            if at == len(decided):
                outcomes: list[Outcome | None] = [None] * len(calls)
                if until is None or at % 3:
                    outcomes[-1] = answering(number(calls[-1])).answer(calls[-1])
                decided.append(outcomes)
                self.polls.append(Poll([str(number(call)) for call in calls], want, until))
                raise Suspended
            self.polls.append(Poll([str(number(call)) for call in calls], want, until))
            if not any(decided[at]):
                self.clock = max(self.clock, until / 1000 - 1_700_000_000)
            return decided[at]

    runs = []
    for _ in range(50):
        host = Deciding(lambda call: None)
        try:
            result = serve.run(all_kinds, serve.Request("all_kinds", b"[{}]", "", "", "", 1, None), host)
        except Suspended:
            runs.append(host.polls)
            continue
        break
    assert result, "it came to an end"
    assert len(runs) > 8 and all(each == host.polls[: len(each)] for each in runs)


def test_the_check_of_a_build() -> None:
    warm.up()
    gc.unfreeze()
