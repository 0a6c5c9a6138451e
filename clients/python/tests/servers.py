"""Starts the servers of backends: Redis, and DynamoDB Local."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from host import BINARY, ROOT, environment

PATIENCE = 120.0
"""Seconds. Java needs some to start, and more on a machine under load."""


def _missing(what: str, script: str) -> NoReturn:
    """Skips a test whose server is not here. In CI it fails."""
    text = f"{what} is missing: run {script}"
    if "CI" in os.environ:
        pytest.fail(text)
    pytest.skip(text)


class Servers:
    """Servers on free ports of this machine, until `stop`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def redis(self) -> dict[str, str]:
        """The variables of commands that keep everything on a Redis of their own."""
        program = shutil.which("redis-server")
        if program is None:
            _missing("Redis", "scripts/setup/redis.sh")
        port = self._start("redis", lambda port: [program, "--bind", "127.0.0.1", "--save", "", "--port", port])
        return {"BRRR_BACKEND": "redis:", "REDIS_URL": f"redis://127.0.0.1:{port}"}

    def redis_and_dynamodb(self) -> dict[str, str]:
        """The variables of commands that keep their queues on a Redis, and their records in a table of a DynamoDB Local."""
        installed = ROOT / "build/servers/dynamodb"
        if shutil.which("java") is None or not (installed / "installed").exists():
            _missing("DynamoDB Local", "scripts/setup/dynamodb.sh")
        lib = installed / "lib"
        java = ["java", "-XX:+UseSerialGC", "-Xmx512m", f"-Djava.library.path={lib}", "-cp", f"{lib}/*"]
        java += ["com.amazonaws.services.dynamodbv2.local.main.ServerRunner", "-inMemory", "-disableTelemetry", "-port"]
        port = self._start("dynamodb", lambda port: [*java, port])
        variables = {
            "BRRR_QUEUE": "redis:",
            "REDIS_URL": self.redis()["REDIS_URL"],
            "BRRR_STORE": "dynamodb:",
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        # This makes the table.
        subprocess.run([BINARY, "setup"], cwd=self._folder, env=environment(variables), check=True, capture_output=True)
        return variables

    def stop(self) -> None:
        """Ends the servers."""
        for process in self._running:
            process.kill()
            process.wait()

    def _start(self, name: str, command: Callable[[str], list[str]]) -> int:
        """Starts a server on a free port, and waits until it listens there."""
        port = _free_port()
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(str(port)), cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._running.append(process)
        until = time.monotonic() + PATIENCE
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{name} does not start:\n{log.read_text()}")
            time.sleep(0.02)
        return port


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    """A port on which nobody listens. It is none of those that the system gives to connections."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as server:
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
