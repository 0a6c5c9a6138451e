"""Handlers of tasks; `brrr-host build` makes one component of this module."""

import random
from dataclasses import dataclass

import brrr


@dataclass
class Rolls:
    rolls: list[int]
    sum: int


@brrr.handler_no_arg  # it calls nobody, so it needs no `app`
async def hello(greetee: str) -> str:
    greeting = f"Hello, {greetee}!"
    print(greeting)  # appears on the worker's output
    return greeting


@brrr.handler
async def dice(app: brrr.App, count: int) -> Rolls:
    """Rolls some dice, and adds them up."""
    # Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are
    # queued together, and each is run once, by whichever worker is free.
    rolls = await app.gather(*(app.call(roll)(n) for n in range(count)))
    return Rolls(rolls, sum(rolls))


@brrr.handler_no_arg(leaf=True)  # a leaf has the real clock and real random numbers: the place for all that is not
async def roll(nth: int) -> int:  # the same every time
    return random.randint(1, 6)
