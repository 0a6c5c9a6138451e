"""Detached jobs: what the host is asked for, and when."""

import asyncio
import json
from typing import Any

import brrr
import pytest
from brrr import codec, serve
from brrr.host import Invocation, Outcome
from conftest import FakeHost, Poll, Suspended, fail
from test_handlers import run


class Spawning(FakeHost):
    """Answers detached calls with the ids 1, 2, …; of others, those that are in `there`."""

    def __init__(self, there: dict[str, Any]) -> None:
        super().__init__(self._answer)
        self.there = there
        self.asked: list[Invocation] = []

    def _answer(self, call: Invocation) -> Outcome | None:
        if ("detached", "true") not in call.options:
            return codec.encode_result(self.there[call.task]) if call.task in self.there else None
        self.asked.append(call)
        return fail(call.task, "no such topic") if call.task == "bad" else codec.encode_result(f"{len(self.asked):032x}")


def job(n: int) -> str:
    return f"{n:032x}"


def test_it_is_an_ordinary_call_with_one_more_option() -> None:
    @brrr.handler_no_arg
    async def pay(order: int) -> int:
        return order

    @brrr.handler
    async def starts(app):
        return [
            await app.spawn(pay)(7),
            await app.spawn("pay", topic="t", scope="job", timeout=5, max_retries=0, label="l")(order=8),
            await app.spawn("pay", call_hash="h")(),
            await app.spawn_raw("raw", b"x"),
        ]

    result, host = run(starts, Spawning({}))
    assert result == [job(1), job(2), job(3), job(4)]
    assert [poll.want for poll in host.polls] == ["all"] * 4 and [len(poll.calls) for poll in host.polls] == [1] * 4
    detached, peers = ("detached", "true"), ("hash-of", "python")
    more = (("timeout-ms", "5000"), ("max-retries", "0"), ("scope", "job"), ("label", "l"))
    assert host.asked == [
        Invocation("pay", b'[{"order": 7}]', None, None, (peers, detached)),
        Invocation("pay", b'[{"order": 8}]', "t", None, (peers, *more, detached)),
        Invocation("pay", b"[{}]", None, "h", (detached,)),
        Invocation("raw", b"x", None, None, (detached,)),
    ]


def test_it_waits_for_nothing_and_nothing_waits_for_it() -> None:
    @brrr.handler
    async def beside(app):
        slow = asyncio.create_task(app.call("slow")())
        await asyncio.sleep(0)
        first = await app.spawn("echo")(i=1)
        second = await asyncio.create_task(app.spawn("echo")(i=2))
        return [first, second, await slow]

    with pytest.raises(Suspended):
        run(beside, host := Spawning({}))
    spawned = [Poll([f'echo[{{"i": {i}}}]'], "all", None) for i in (1, 2)]
    assert host.polls == [*spawned, Poll(["slow[{}]"], "all", None)]
    # A replay asks in the same order.
    result, host = run(brrr.handlers.registry["beside"], Spawning({"slow": 3}))
    assert result == [job(1), job(2), 3]
    assert host.polls[:2] == spawned


def test_those_of_one_gather_are_asked_for_together() -> None:
    @brrr.handler
    async def together(app):
        return await app.gather(*[app.spawn("echo")(i=i) for i in range(3)])

    result, host = run(together, Spawning({}))
    assert result == [job(1), job(2), job(3)]
    assert [len(poll.calls) for poll in host.polls] == [3]


def test_a_job_that_can_not_be_started_is_a_failure() -> None:
    @brrr.handler
    async def caught(app):
        try:
            await app.spawn("bad")()
        except brrr.CallFailedError as error:
            return [error.task, error.message]

    assert run(caught, Spawning({}))[0] == ["bad", "no such topic"]


def test_arguments_that_do_not_fit() -> None:
    @brrr.handler
    async def by_position(app):
        await app.spawn("echo")(1)

    @brrr.handler
    async def no_json(app):
        await app.spawn("echo")(i=object())

    result, _ = run(by_position, Spawning({}))
    assert 'app.spawn("echo")(n=…)' in result.message
    result, host = run(no_json, Spawning({}))
    assert isinstance(result, serve.Lasting) and host.polls == []
