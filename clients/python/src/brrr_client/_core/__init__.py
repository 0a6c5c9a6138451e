"""The code that both clients share. It builds requests, reads answers and decides the next step. It does no I/O.

An operation is a generator (see steps.py). It yields steps, and receives the outcome of each step. The shells in `_sync` and
`_async` execute the steps.
"""
