"""Builds components of functions by `brrr-host build`.

A component is built once for each content. Functions with the same requirements are built in the same folder, so that their
packages and the compiler are installed once.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brrr_client._ship.closure import Closure, closure
from brrr_client._ship.function import Found, find
from brrr_client.errors import ShipError

log = logging.getLogger("brrr_client")

ENTRY = """\
import inspect
import brrr
import {module} as module

for name, each in list(vars(module).items()):
    if inspect.isfunction(each) and (each.__module__, each.__name__) == (module.__name__, name):
        brrr.handler_no_arg(name=name, leaf=True)(each)
"""
"""The handlers of the component: all functions of the module, so that it is built once for all of them. They make no calls, so they
have the real clock."""

ENTRY_FILE = "brrr_call.py"

CLIENT = '''\
"""Stands for the client in a component, where it can't be used."""


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def refuse(self, *args, **kwargs):
        raise RuntimeError(f"a function that runs on a worker can't use brrr_client.{name}")

    kind = type(name, (Exception if name.endswith("Error") else object,), {"__init__": refuse})
    globals()[name] = kind
    return kind
'''

CLIENT_FILES = [f"brrr_client/{name}.py" for name in ("__init__", "documents", "errors", "options")]

KEPT = 20
"""Components that are kept. Each has some 20 MB."""


@dataclass(frozen=True)
class Built:
    """A function with its component."""

    task: str
    """Its task, as a job names it: `TASK@sha256:…`."""
    component: Path


def build(function: Callable[..., Any], binary: str | None) -> Built:
    """Builds the component of a function, unless that was done before.

    binary: the program brrr-host. None: the environment variable BRRR_HOST, or the program on the PATH.

    Raises ShipError if the function can't be shipped.
    """
    found = find(function)
    needs = closure(found)
    program = _program(binary)
    entry = ENTRY.format(module=found.module)
    files = _files(found, needs, entry)
    cache = _cache()
    project = cache / "projects" / _key([files["requirements.txt"], files["constraints.txt"]])
    status = os.stat(program)
    parts = [f"{program} {status.st_size} {status.st_mtime_ns}".encode()]
    parts += [part for path in sorted(files) for part in (path.encode(), files[path])]
    component = cache / "components" / f"{_key(parts)}.wasm"
    digest = component.with_suffix(".digest")
    with _lock(project.with_suffix(".lock")):
        if not (component.is_file() and digest.is_file()):
            log.info("building a component of the module %s", found.module)
            _write(project, files)
            _run(program, project, component)
            digest.write_text(hashlib.sha256(component.read_bytes()).hexdigest())
            _forget_old(component.parent, digest)
        os.utime(digest)
        return Built(f"{found.name}@sha256:{digest.read_text()}", component)


def _files(found: Found, needs: Closure, entry: str) -> dict[str, bytes]:
    files = dict(needs.sources)
    if needs.uses_client:
        files |= {path: CLIENT.encode() for path in CLIENT_FILES}
    for path in (ENTRY_FILE, "brrr"):
        if path in files:
            raise ShipError(f"{found.name} can't be shipped: a module is called {path}, which the component needs itself")
    lines = ["-c constraints.txt", *sorted(needs.requirements)] if needs.requirements else []
    return files | {
        ENTRY_FILE: entry.encode(),
        "requirements.txt": "".join(f"{line}\n" for line in lines).encode(),
        "constraints.txt": "".join(f"{line}\n" for line in sorted(needs.constraints)).encode(),
    }


def _program(binary: str | None) -> str:
    wanted = binary or os.environ.get("BRRR_HOST") or "brrr-host"
    if found := shutil.which(wanted):
        return os.path.realpath(found)
    raise ShipError(
        f"{wanted} is not there; client.call builds a component with it: install brrr-host on the PATH, set BRRR_HOST to its "
        "path, or give Client(brrr_host=…)"
    )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(home) / "brrr-client"
    for folder in (cache, cache / "projects", cache / "components"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cache.stat().st_uid != os.getuid():
        raise ShipError(f"{cache} belongs to another user, who could change what is shipped; set XDG_CACHE_HOME")
    return cache


def _key(parts: list[bytes]) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.hexdigest()[:32]


@contextmanager
def _lock(path: Path) -> Generator[None, None, None]:
    """Two programs may build in the same folder."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(project: Path, files: dict[str, bytes]) -> None:
    """Makes the folder have these files, and what the build keeps for the next time."""
    project.mkdir(exist_ok=True)
    for entry in project.iterdir():
        if entry.name == ".brrr":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for path, content in files.items():
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _run(program: str, project: Path, component: Path) -> None:
    # Settings of workers are none of this program's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRRR_")}
    ended = subprocess.run(
        [program, "build", ENTRY_FILE, "--out", str(component)],
        cwd=project,
        env=environment | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    text = ended.stderr.decode(errors="replace").strip()
    if ended.returncode != 0:
        raise ShipError(f"the function can't be made a component:\n{text}")
    for line in text.splitlines():
        (log.warning if line.startswith("warning: ") else log.info)("%s", line)


def _forget_old(folder: Path, newest: Path) -> None:
    """Removes the components that were not used for longest."""
    ages: list[tuple[float, Path]] = []
    for file in folder.glob("*.digest"):
        try:
            ages.append((file.stat().st_mtime, file))
        except FileNotFoundError:
            pass  # Another program removes too.
    for _, file in sorted(ages, reverse=True)[KEPT:]:
        if file != newest:
            file.unlink(missing_ok=True)
            file.with_suffix(".wasm").unlink(missing_ok=True)
