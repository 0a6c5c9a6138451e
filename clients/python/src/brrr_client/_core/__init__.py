"""What both clients share: it makes requests, reads answers and decides what to do next, and does no I/O itself.

An operation is a generator (steps.py). It yields what is to be done, and gets what came of it. `_sync` and `_async` do it.
"""
