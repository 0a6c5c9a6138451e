"""Sockets as a handler sees them: there are none, and whoever wants one is told about `brrr.http`.

Without this, what the C library kept of sockets while the component was built is of no use when it runs, and a run that
touches it ends in a trap.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

_FUNCTIONS = (
    "getaddrinfo",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "socketpair",
    "fromfd",
)


def refused() -> OSError:
    """The error for anything that needs a socket."""
    return OSError(
        errno.ENOTSUP,
        "a handler has no sockets, so libraries that open some don't work; use brrr.http, or the package requests with"
        " brrr.requests (the worker allows HTTP by --allow-http HOST)",
    )


def _refuse(*_: Any, **__: Any) -> Any:
    raise refused()


def install() -> None:
    """Changes the module `socket` and the one below it, from which it may have been taken already."""
    for module in (socket, getattr(socket, "_socket", None)):
        for name in _FUNCTIONS:
            if hasattr(module, name):
                setattr(module, name, _refuse)
    # A method of the class, and not another class: others have imported this one, or have made subclasses of it.
    socket.socket.__init__ = _refuse  # type: ignore[method-assign]
