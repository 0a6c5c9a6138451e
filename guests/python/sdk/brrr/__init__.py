"""brrr for Python: define task handlers, build them with ``python -m brrr.build app.py -o app.wasm``.

    import brrr

    @brrr.handler
    async def fib(app, n, salt=None):
        if n < 2:
            return n
        return sum(await app.gather(app.call(fib)(n=n - 2, salt=salt), app.call(fib)(n=n - 1, salt=salt)))
"""

from brrr.app import App
from brrr.call import Call
from brrr.errors import CallFailed, Permanent
from brrr.handlers import Task, handler, handler_no_arg, handler_raw
from brrr.host import Failure, Request
from brrr.options import Backoff, CallOptions, HandlerOptions, Options

__all__ = [
    "App",
    "Backoff",
    "Call",
    "CallFailed",
    "CallOptions",
    "Failure",
    "HandlerOptions",
    "Options",
    "Permanent",
    "Request",
    "Task",
    "handler",
    "handler_no_arg",
    "handler_raw",
]
