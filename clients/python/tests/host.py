"""Starts the real binary in a folder."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("BRRR_HOST_BIN", ROOT / "target/debug/brrr-host")).resolve()
COMPONENT = ROOT / "build/guests/rust/rust-conformance.wasm"
READY = 120.0
"""Seconds. The first worker on a machine compiles the component, which takes long on a machine under load."""


CACHE = {name: value for name, value in os.environ.items() if name == "XDG_CACHE_HOME"}
"""The cache of compiled components, which all hosts share. The tests set another one for the client."""

PUSH_TOKEN = "push-0123456789abcdef"
"""The token of clients that ship code. Other clients need none."""


def environment(backend: Mapping[str, str]) -> dict[str, str]:
    """The environment of commands that keep their jobs where these variables say. Settings of the user do not count."""
    ours = ("BRRR_", "REDIS_", "AWS_", "DYNAMODB_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    env.pop("XDG_CACHE_HOME", None)
    return {**env, **CACHE, **backend}


class Host:
    """A worker with a gateway."""

    def __init__(
        self, folder: Path, *, port: int = 0, token: str | None = None, backend: Mapping[str, str] | None = None
    ) -> None:
        """backend: the variables that say where the host keeps its jobs. Without them it has a file in the folder."""
        env = environment(backend or {})
        env["BRRR_PUSH_TOKEN"] = PUSH_TOKEN
        if token is not None:
            env["BRRR_HTTP_TOKEN"] = token
        command: list[str | Path] = [BINARY, "run", "--topic", "demo", "--http", f"127.0.0.1:{port}"]
        # Without the grace a call of an unknown task takes a minute to fail.
        command += ["--unknown-task-grace", "1s", "--accept-code", COMPONENT]
        self.folder = folder
        self._process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._log: list[str] = []
        found: queue.Queue[int | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(found,), daemon=True)
        self._reader.start()
        try:
            address = found.get(timeout=READY)
        except queue.Empty:
            address = None
        if address is None:
            self.stop()
            raise RuntimeError("the host does not start:\n" + "".join(self._log))
        self.port = address
        self.url = f"http://127.0.0.1:{address}"

    def _read(self, found: queue.Queue[int | None]) -> None:
        assert self._process.stderr is not None
        # Up to the end, because a full pipe would stop the host.
        for line in self._process.stderr:
            self._log.append(line)
            if match := re.search(r"gateway on http://127\.0\.0\.1:(\d+)", line):
                found.put(int(match[1]))
        found.put(None)

    def kill(self) -> None:
        """Ends the host at once, as a crash does."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        """Asks the host to stop, and waits for its end."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait()
        self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
