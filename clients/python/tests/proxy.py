"""A TCP proxy that does to connections what networks do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Plan:
    """What happens to a connection."""

    cut_after: int | None = None
    """It is cut when so many bytes of answers have passed. 0: as soon as an answer begins, of which nothing arrives."""
    say: bytes | None = None
    """The answer, in place of the gateway's."""
    reset: bool = False
    """Is it cut by a reset, and not by an ordinary end?"""


@dataclass
class Proxy:
    """Passes connections on to a port of this machine. The plans are for the next ones, each for one."""

    target: int
    plans: deque[Plan] = field(default_factory=deque[Plan])
    otherwise: Callable[[], Plan] = Plan
    cuts: int = 0
    """How many connections it has cut."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cuts everything."""
        # A thread that waits in accept() is woken by this, and not by close().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            end(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                plan = self.plans.popleft() if self.plans else self.otherwise()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client, plan), daemon=True).start()

    def _serve(self, client: socket.socket, plan: Plan) -> None:
        with contextlib.suppress(OSError):
            if plan.say is not None:
                client.recv(65536)
                client.sendall(plan.say)
                end(client)
                return
            gateway = socket.create_connection(("127.0.0.1", self.target))
            self._open.append(gateway)
            threading.Thread(target=self._ask, args=(client, gateway), daemon=True).start()
            self._answer(gateway, client, plan)

    def _ask(self, client: socket.socket, gateway: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := client.recv(65536):
                gateway.sendall(piece)
        # The client is gone: the gateway is told, and so is the other thread, by the end of what it reads.
        end(gateway)

    def _answer(self, gateway: socket.socket, client: socket.socket, plan: Plan) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while piece := gateway.recv(65536):
                if plan.cut_after is not None and passed + len(piece) > plan.cut_after:
                    client.sendall(piece[: plan.cut_after - passed])
                    self.cuts += 1
                    if plan.reset:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                passed += len(piece)
                client.sendall(piece)
        end(gateway)
        end(client, socket.SHUT_RD if plan.reset else socket.SHUT_RDWR)


def end(each: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """Ends a connection, whatever another thread does with it: close() alone would wait for that thread's recv()."""
    with contextlib.suppress(OSError):
        each.shutdown(how)
    each.close()
