"""Builds components of functions by `brrr-host build`.

A component is built once for each content. Functions with the same requirements are built in the same folder, so that their
packages and the compiler are installed once.
"""

from __future__ import annotations

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

from brrr_client._core.settings import Settings
from brrr_client._ship.cache import Cache, Entry
from brrr_client._ship.closure import Closure, closure
from brrr_client._ship.function import Found, find
from brrr_client._ship.native import refuse_native, with_native_code
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

NATIVE = """
Perhaps the function needs native code, which no component can load. Of its packages these have some: {}. If the build failed for
that reason, use a package of pure Python instead."""
"""After the message of a build that failed."""

DIGEST, COMPONENT, CHECKED = "digest", "app.wasm", "checked"
"""The files of a component in the cache: its digest once it is complete, itself, and its functions that need no native code."""

CLIENT_FILES = [f"brrr_client/{name}.py" for name in ("__init__", "documents", "errors", "options")]


@dataclass(frozen=True)
class Built:
    """A function in its component."""

    task: str
    """Its task, as a job names it: `TASK@sha256:…`."""
    component: Path


def task_of(function: Callable[..., Any], settings: Settings) -> str:
    """The task of a function, as a job names it: `TASK@sha256:…`. Builds its component, unless that was done before.

    Raises ShipError if the function can't be shipped.
    """
    with _built(function, settings) as built:
        return built.task


def content_of(function: Callable[..., Any], settings: Settings) -> tuple[str, bytes]:
    """The task of a function, and the component that has it."""
    with _built(function, settings) as built:
        return built.task, built.component.read_bytes()


@contextmanager
def _built(function: Callable[..., Any], settings: Settings) -> Generator[Built, None, None]:
    """The component of a function. It stays in the cache as long as the context."""
    found = find(function)
    needs = closure(found)
    program = _program(settings.binary)
    files = _files(found, needs, ENTRY.format(module=found.module))
    cache = Cache(_cache_folder(), settings.cache_size)
    status = os.stat(program)
    parts = [f"{program} {status.st_size} {status.st_mtime_ns}".encode()]
    parts += [part for path in sorted(files) for part in (path.encode(), files[path])]
    with cache.use("components", _key(parts)) as entry:
        _refuse_native(found, needs, entry)
        if _is_complete(entry):
            cache.clean_if_due()
        else:
            requirements = _key([files["requirements.txt"], files["constraints.txt"]])
            with cache.use("projects", requirements, alone=True) as project:
                try:
                    # Another program may have built it meanwhile.
                    if not _is_complete(entry):
                        log.info("building a component of the module %s", found.module)
                        _make(program, project, files, entry)
                except ShipError as error:
                    if native := with_native_code(needs):
                        raise ShipError(f"{error}{NATIVE.format(', '.join(native))}") from error
                    raise
                finally:
                    # A build that fails leaves packages, too.
                    project.measure()
                    entry.measure()
                    cache.clean()
        digest = (entry.folder / DIGEST).read_text()
        yield Built(f"{found.name}@sha256:{digest}", entry.folder / COMPONENT)


def _refuse_native(found: Found, needs: Closure, entry: Entry) -> None:
    """Raises ShipError if the function needs native code. What was found to need none is noted with the component."""
    checked = entry.folder / CHECKED
    if checked.is_file() and found.name in checked.read_text().splitlines():
        return
    refuse_native(found, needs)
    entry.folder.mkdir(exist_ok=True)
    with checked.open("a") as file:
        file.write(f"{found.name}\n")


def _is_complete(entry: Entry) -> bool:
    return (entry.folder / DIGEST).is_file()


def _make(program: str, project: Entry, files: dict[str, bytes], entry: Entry) -> None:
    """Builds a component in the folder of a project."""
    _write(project.folder, files)
    component = entry.folder / COMPONENT
    _run(program, project, component)
    digest = hashlib.sha256(component.read_bytes()).hexdigest()
    # By one step: other programs look for it without the project's lock.
    new = entry.folder / f"{DIGEST}.new"
    new.write_text(digest)
    new.rename(entry.folder / DIGEST)


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


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brrr-client"


def _key(parts: list[bytes]) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big") + part)
    return hashed.hexdigest()[:32]


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


def _run(program: str, project: Entry, component: Path) -> None:
    # Settings of workers are none of this program's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRRR_")}
    ended = subprocess.run(
        [program, "build", ENTRY_FILE, "--out", str(component)],
        cwd=project.folder,
        env=environment | {"NO_COLOR": "1"},
        # If this program is killed, the folder is locked until the build ends.
        pass_fds=[project.lock],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    text = ended.stderr.decode(errors="replace").strip()
    if ended.returncode != 0:
        raise ShipError(f"the function can't be made a component:\n{text}")
    for line in text.splitlines():
        (log.warning if line.startswith("warning: ") else log.info)("%s", line)
