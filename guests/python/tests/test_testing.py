"""The helper for users' own tests."""

import asyncio

import brrr
import pytest
from brrr.testing import FakeHost, after, rejected


def test_children_are_given_or_run() -> None:
    @brrr.handler_no_arg
    async def roll(nth: int) -> int:
        return 10 + nth

    @brrr.handler
    async def dice(app: brrr.App, count: int) -> list[int]:
        return [*await app.gather(*(app.call(roll)(n) for n in range(count))), await app.call("other")(of="x")]

    assert FakeHost(children={"other": 1}).run(dice, 2) == [10, 11, 1]
    host = FakeHost(children={roll: lambda nth: nth, "other": lambda of: len(of)})
    assert host.run(dice, count=2) == [0, 1, 1]
    assert host.calls == [("roll", {"nth": 0}), ("roll", {"nth": 1}), ("other", {"of": "x"})]
    with pytest.raises(AssertionError, match="calls other, which is no handler"):
        FakeHost().run(dice, 1)


def test_what_a_handler_raises_and_what_its_children_fail_with() -> None:
    @brrr.handler
    async def pays(app: brrr.App, caught: bool) -> str:
        try:
            return str(await app.call("fee")())
        except brrr.CallFailedError as error:
            if caught:
                return f"{error.kind}: {error.message}"
            raise

    host = FakeHost(children={"fee": ValueError("no fee")})
    assert host.run(pays, True) == "error: no fee"
    with pytest.raises(brrr.CallFailedError, match="no fee"):
        host.run(pays, False)


def test_time_passes_without_taking_any() -> None:
    @brrr.handler
    async def limited(app: brrr.App, seconds: float) -> str:
        try:
            return str(await asyncio.wait_for(app.call("slow")(), seconds))
        except TimeoutError:
            await asyncio.sleep(3600)
            return "too late"

    host = FakeHost(children={"slow": after(60, "there")})
    assert host.run(limited, 61) == "there"
    assert host.seconds == 60
    host = FakeHost(children={"slow": after(60, "there")})
    assert host.run(limited, 5) == "too late"
    assert host.seconds == 3605


def test_promises() -> None:
    @brrr.handler
    async def asks(app: brrr.App, limit: float | None = None) -> str:
        try:
            return str(await asyncio.wait_for(app.promise("approval"), limit))
        except TimeoutError:
            return "nobody"
        except brrr.CallFailedError as error:
            return f"{error.kind}: {error.message} {error.details}"

    assert FakeHost(promises={"approval": after(5, "yes")}).run(asks) == "yes"
    assert FakeHost(promises={"approval": rejected("no", {"by": "me"})}).run(asks) == "rejected: no {'by': 'me'}"
    assert FakeHost().run(asks, 7 * 86_400) == "nobody"
    with pytest.raises(AssertionError, match='waits for ever for promises that have no answer: "approval"'):
        FakeHost().run(asks)


def test_detached_jobs_are_noted_and_not_run() -> None:
    @brrr.handler
    async def slow(app: brrr.App, i: int) -> str:
        return await app.call("never")()

    @brrr.handler
    async def starts(app: brrr.App) -> list[str]:
        await app.call("quick")()
        both = await app.gather(app.spawn(slow)(1), app.spawn(slow)(1))
        return [*both, await app.spawn_raw("elsewhere", b"x", topic="t")]

    host = FakeHost(children={"quick": None})
    ids = host.run(starts)
    assert ids == [f"{i:032x}" for i in (1, 2, 3)]
    assert host.spawned == [("slow", {"i": 1}), ("slow", {"i": 1}), ("elsewhere", b"x")]
    assert host.calls == [("quick", {})]


def test_races_and_progress() -> None:
    @brrr.handler
    async def race(app: brrr.App) -> str:
        return await app.first(app.call("a")(), app.call("b")())

    @brrr.handler
    async def chains(app: brrr.App) -> list[str]:
        async def chain(*tasks: str) -> str:
            return "".join([await app.call(task)() for task in tasks])

        return list(await app.gather(chain("a", "b", "x"), chain("b", "a", "y")))

    children = {"a": after(5, "a"), "b": after(1, "b"), "x": after(5, "x"), "y": after(5, "y")}
    host = FakeHost(children=children)
    assert (host.run(race), host.seconds) == ("b", 1)
    host = FakeHost(children=children)
    assert (host.run(chains), host.seconds) == (["abx", "bay"], 10)


def test_a_mistake_that_the_sdk_finds_is_a_failed_test() -> None:
    @brrr.handler
    async def floating(app: brrr.App) -> str:
        app.call("never")()
        return "done"

    with pytest.raises(AssertionError, match="the call of never was never waited for"):
        FakeHost().run(floating)
