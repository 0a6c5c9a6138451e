"""A TCP proxy that cuts connections."""

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
    """What the proxy does to a connection."""

    cut_after: int | None = None
    """The proxy cuts the connection after so many bytes of answers. 0: when the answer begins, and nothing of it arrives."""
    say: bytes | None = None
    """The answer of the proxy itself. The gateway does not get the request."""
    reset: bool = False
    """Is the connection cut by a reset, and not by an ordinary end?"""


@dataclass
class Proxy:
    """Passes connections on to a port of this machine. Each plan is for one of the next connections."""

    target: int
    plans: deque[Plan] = field(default_factory=deque[Plan])
    otherwise: Callable[[], Plan] = Plan
    cuts: int = 0
    """The number of connections that the proxy has cut."""

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cuts all connections."""
        # shutdown() wakes a thread that waits in accept(), and close() does not.
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
        # The client has closed its connection. This also ends the loop of the other thread.
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
    """Ends a connection. close() alone has no effect while another thread waits in recv()."""
    with contextlib.suppress(OSError):
        each.shutdown(how)
    each.close()
