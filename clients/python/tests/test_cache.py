"""The cache of `client.call`: what it removes, and what it leaves."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brrr_client._ship.cache import Cache, Kind
from conftest import Connect
from host import PUSH_TOKEN, Host
from shipped import shop

DAY = 86_400
MIB = 2**20


def make(cache: Cache, kind: Kind, key: str, *, days: float, size: int = MIB) -> Path:
    """Makes an entry that was not used for so many days."""
    with cache.use(kind, key, alone=True) as entry:
        entry.folder.mkdir()
        (entry.folder / "content").write_bytes(b"x" * size)
        entry.measure()
    used = time.time() - days * DAY
    os.utime(lock_of(entry.folder), (used, used))
    return entry.folder


def lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def left(cache: Cache) -> set[str]:
    """The entries that are there."""
    files = [file for kind in ("projects", "components") for file in (cache.root / kind).iterdir()]
    folders = {file.name for file in files if file.is_dir()}
    assert {file.stem for file in files if file.suffix == ".lock"} == folders
    return folders


def holder(lock: int | None, cache: Path, kind: Kind = "projects", key: str = "held") -> subprocess.Popen[str]:
    """A program that uses an entry until its input ends: one that it locks itself, or that of an inherited lock."""
    code = "import sys; print('held', flush=True); sys.stdin.read()"
    if lock is None:
        code = (
            "import pathlib, sys; from brrr_client._ship.cache import Cache\n"
            f"with Cache(pathlib.Path({str(cache)!r}), 0).use({kind!r}, {key!r}):\n    {code}"
        )
    fds = [] if lock is None else [lock]
    program = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=fds
    )
    assert program.stdout is not None and program.stdout.readline() == "held\n"
    return program


def test_old_entries_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=100 * MIB)
    make(cache, "projects", "old", days=31)
    make(cache, "components", "older", days=300)
    make(cache, "projects", "young", days=29)
    make(cache, "projects", "used again", days=31)
    with cache.use("projects", "used again"):
        pass
    cache.clean()
    assert left(cache) == {"young", "used again"}
    assert not (cache.root / "removed").exists()


def test_the_oldest_beyond_the_limit_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=7 * MIB // 2)
    for days in range(6):
        make(cache, "components" if days % 2 else "projects", f"{days} days", days=days)
    cache.clean()
    assert left(cache) == {"0 days", "1 days", "2 days"}
    with cache.use("projects", "2 days"):
        pass
    # With the big one it is too much. Without "1 days", which is the oldest, it still is.
    make(cache, "projects", "big", days=0.5, size=2 * MIB)
    cache.clean()
    assert left(cache) == {"0 days", "2 days"}


def test_an_entry_whose_maker_was_killed_counts(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=MIB)
    folder = make(cache, "projects", "killed", days=2)
    used = lock_of(folder).stat().st_mtime_ns
    lock_of(folder).write_bytes(b"")
    os.utime(lock_of(folder), ns=(used, used))
    make(cache, "projects", "another", days=1, size=MIB // 2)
    cache.clean()
    assert left(cache) == {"another"}


def test_an_entry_in_use_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=0)
    folder = make(cache, "projects", "held", days=0)
    program = holder(None, cache.root)
    # As old as it may be, it is in use.
    os.utime(lock_of(folder), (0, 0))
    make(cache, "projects", "free", days=0)
    cache.clean()
    assert left(cache) == {"held"}
    program.communicate()
    cache.clean()
    assert left(cache) == set()


def test_an_entry_stays_for_a_build_that_outlives_its_program(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", limit=0)
    make(cache, "projects", "held", days=0)
    with cache.use("projects", "held", alone=True) as entry:
        build = holder(entry.lock, cache.root)
    cache.clean()
    assert left(cache) == {"held"}
    build.communicate()
    cache.clean()
    assert left(cache) == set()


def test_several_processes_at_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("BRRR_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    user = Path(__file__).with_name("cache_user.py")
    users = [
        subprocess.Popen(
            [sys.executable, str(user), str(tmp_path / "cache"), rounds, str(seed + index)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, rounds in enumerate(("150", "150", "100000"))
    ]
    ends = [each.communicate(timeout=120) for each in users[:2]]
    users[2].kill()
    ends.append(users[2].communicate())
    assert [end[1] for end in ends] == ["", "", ""]
    made = sum(end[0].count("made") for end in ends)
    assert made > 30, "entries were removed while others were used"


def test_a_call_cleans(
    connect: Connect, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shipping = connect(host.url, token=PUSH_TOKEN)
    assert shipping.call(shop.total, ["tea"]) == 300
    # Another cache, with the component of this call.
    shared = Path(os.environ["XDG_CACHE_HOME"]) / "brrr-client/components"
    component = max(shared.glob("*.lock"), key=lambda lock: lock.stat().st_mtime_ns).with_suffix("")
    cache = Cache(tmp_path / "brrr-client", limit=0)
    shutil.copytree(component, cache.root / "components" / component.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", None)  # nothing is built

    make(cache, "projects", "old", days=31)
    make(cache, "projects", "young", days=29)
    assert shipping.call(shop.total, ["tea"]) == 300
    assert left(cache) == {"young", component.name}
    # Once a day, unless something is built.
    monkeypatch.setenv("BRRR_CLIENT_CACHE_SIZE", "1KiB")
    small = connect(host.url)
    assert small.call(shop.total, ["tea"]) == 300
    assert left(cache) == {"young", component.name}
    os.utime(cache.root / "clean.lock", (0, 0))
    assert small.call(shop.total, ["tea"]) == 300
    assert left(cache) == {component.name}, "the call's own component stays"
