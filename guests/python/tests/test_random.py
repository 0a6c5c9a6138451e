"""Random handlers, run from their beginning after each poll: all runs make the same polls, and each handler comes to its end."""

import asyncio
import json
import os
import random
from collections.abc import Sequence
from typing import Any

import brrr
import pytest
from brrr import serve
from brrr.host import Failure, Invocation, Outcome, Want
from conftest import EPOCH, Suspended, fail, request_for

SEEDS = [int(os.environ["BRRR_SEED"])] if "BRRR_SEED" in os.environ else range(60)
DEPTH = 3


class Fleet:
    """What stays from run to run: the time, the calls that are on their way, what each poll and sleep came to."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 0.0
        self.ready: dict[bytes, float] = {}
        self.decisions: list[tuple[Any, list[Outcome | None], float]] = []

    def outcome(self, call: Invocation) -> Outcome:
        i = json.loads(call.payload)[0]["i"]
        return fail("echo", str(i)) if i % 7 == 0 else json.dumps(i).encode()

    def ready_at(self, call: Invocation) -> float:
        if call.payload not in self.ready:
            latency = random.Random(f"{self.seed} {call.payload!r}").choice([0, 0, 0.3, 1, 5, 40])
            self.ready[call.payload] = self.now + latency
        return self.ready[call.payload]

    def decide(self, asked: Any, calls: Sequence[Invocation], want: Want, until: float | None) -> None:
        """Lets time pass until a poll is over."""
        times = sorted((self.ready_at(call), i) for i, call in enumerate(calls))
        over = [times[want - 1][0]] if isinstance(want, int) else [times[-1][0]] if times else []
        if want == "progress":
            over.append(times[0][0] + random.Random(f"{self.seed} {len(self.decisions)}").choice([0, 1]))
        if not isinstance(want, int):
            over += [self.ready_at(call) for call in calls if isinstance(self.outcome(call), Failure)]
        over += [] if until is None else [until]
        assert over, "a poll without calls and without a time"
        self.now = max(self.now, min(over))
        there = [i for time, i in times if time <= self.now]
        chosen = set(there[:want] if isinstance(want, int) else there)
        self.decisions.append((asked, [self.outcome(call) if i in chosen else None for i, call in enumerate(calls)], self.now))


class Run:
    """One run of the handler. It stops at the first poll that no run before it has got beyond."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.at = 0
        self.clock = 0.0
        self.stopped = False

    def _answer(self, asked: Any, calls: Sequence[Invocation], want: Want, until: float | None) -> list[Outcome | None]:
        if self.at == len(self.fleet.decisions):
            self.fleet.decide(asked, calls, want, until)
            self.stopped = True
            raise Suspended
        before, outcomes, self.clock = self.fleet.decisions[self.at]
        assert asked == before, f"poll {self.at} differs"
        self.at += 1
        return outcomes

    def poll(self, calls: Sequence[Invocation], want: Want, until: int | None) -> Sequence[Outcome | None]:
        assert calls and (not isinstance(want, int) or 1 <= want <= len(calls))
        asked = ([call.payload for call in calls], want, until)
        return self._answer(asked, calls, want, None if until is None else until / 1000 - EPOCH)

    def sleep(self, seconds: float) -> None:
        self._answer(("sleep", round(seconds, 6)), [], "all", self.clock + seconds)

    def time_left(self) -> float:
        return 1.0

    def now(self) -> float:
        return self.clock

    def unix_us(self) -> int:
        return round((self.clock + EPOCH) * 1e6)

    def warn(self, message: str) -> None:
        pass


class Program:
    """A random handler: the same one in each run."""

    def __init__(self, app: brrr.App, seed: int) -> None:
        self.app = app
        self.random = random.Random(seed)
        self.calls = 0

    def call(self) -> brrr.Call[Any]:
        self.calls += 1
        return self.app.call("echo")(i=self.calls)

    def several(self, depth: int) -> list[Any]:
        pure = self.random.random() < 0.5
        return [self.call() if pure else self.step(depth) for _ in range(self.random.randint(1, 3))]

    async def step(self, depth: int) -> Any:
        kinds = [self.one, self.sleep, self.race, self.background]
        if depth:
            kinds += [self.chain, self.gather, self.each, self.group, self.limit, self.wait, self.completed] * 2
        return await self.random.choice(kinds)(max(0, depth - 1))

    async def one(self, _: int) -> Any:
        return await self.call()

    async def sleep(self, _: int) -> Any:
        return await asyncio.sleep(self.random.choice([0, 0.2, 3, 60]), "slept")

    async def race(self, _: int) -> Any:
        return await self.app.some(self.random.randint(0, 2), *[self.call() for _ in range(3)])

    async def background(self, _: int) -> Any:
        task = asyncio.create_task(self.call())  # type: ignore[arg-type]
        value = await self.call()
        return [value, task.done(), await task if self.random.random() < 0.5 else None]

    async def chain(self, depth: int) -> Any:
        return [await self.step(depth) for _ in range(self.random.randint(1, 3))]

    async def gather(self, depth: int) -> Any:
        return await self.random.choice([asyncio.gather, self.app.gather])(*self.several(depth))

    async def each(self, depth: int) -> Any:
        gather: Any = self.random.choice([asyncio.gather, self.app.gather])
        return list(map(str, await gather(*self.several(depth), return_exceptions=True)))

    async def group(self, depth: int) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in self.several(depth)]
            if self.random.random() < 0.5:
                await self.step(depth)
        return [task.result() for task in tasks]

    async def limit(self, depth: int) -> Any:
        try:
            return await asyncio.wait_for(self.several(depth)[0], self.random.choice([0, 0.1, 2, 30]))
        except TimeoutError:
            return "too late"

    async def wait(self, depth: int) -> Any:
        tasks = [asyncio.create_task(each) for each in self.several(depth)]
        when = self.random.choice([asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED])
        done, pending = await asyncio.wait(tasks, timeout=self.random.choice([None, 1]), return_when=when)
        if self.random.random() < 0.5:
            for task in pending:
                task.cancel()
        return [task in done for task in tasks]

    async def completed(self, _: int) -> Any:
        found = []
        # Of calls alone: it makes a set, and only a component has every object at the same address in each run.
        for each in asyncio.as_completed([self.call() for _ in range(3)]):
            found.append(await each)
            if self.random.random() < 0.2:
                break
        return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_run_makes_the_same_polls(seed: int) -> None:
    @brrr.handler
    async def program(app: brrr.App) -> Any:
        made = Program(app, seed)
        results = []
        for _ in range(4):
            try:
                results.append(await made.step(DEPTH))
            except (brrr.CallFailedError, ExceptionGroup) as error:
                results.append(type(error).__name__)
        return str(results)

    fleet = Fleet(seed)
    for _ in range(2000):
        run = Run(fleet)
        result = serve.handle(request_for("program"), run)
        if not run.stopped:
            assert isinstance(result, bytes), f"BRRR_SEED={seed}: {result}"
            assert run.at == len(fleet.decisions)
            return
        # A handler's own `finally` may hide that the host has dropped the run; that the polls were the same is seen above.
    raise AssertionError(f"BRRR_SEED={seed}: it does not end")
