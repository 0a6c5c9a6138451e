"""Handlers of tasks; `brrr-host build` makes one component of this module."""

import random

import brrr


@brrr.handler_no_arg  # it calls nobody, so it needs no `app`
async def hello(greetee):
    greeting = f"Hello, {greetee}!"
    print(greeting)  # appears on the worker's output
    return greeting


@brrr.handler
async def dice(app, count):
    # Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are
    # queued together, and each is run once, by whichever worker is free.
    rolls = await app.gather(*(app.call(roll)(nth=n) for n in range(count)))
    return {"rolls": rolls, "sum": sum(rolls)}


@brrr.handler_no_arg(leaf=True)  # a leaf has the real clock and real random numbers: the place for all that is not
async def roll(nth):             # the same every time
    return random.randint(1, 6)
