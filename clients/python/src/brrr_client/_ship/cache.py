"""The cache of `client.call`: what was built, for as long as it is used.

`projects/KEY` is a folder with the compiler and the packages of one set of requirements. `components/KEY` is a folder with one
component. Beside each entry is the file `KEY.lock`. Who uses the entry has locked that file. The time of the file is the time of the
last use, its text is the size of the entry in bytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from brrr_client.errors import ShipError

UNUSED = 30 * 86_400.0
"""Seconds. An entry that was not used for longer is removed."""

PAUSE = 86_400.0
"""Seconds between two cleanings if nothing is built. Entries do not become old faster."""

Kind = Literal["projects", "components"]
KINDS: tuple[Kind, ...] = ("projects", "components")


@dataclass(frozen=True)
class Entry:
    """An entry that this program has locked."""

    folder: Path
    """It is missing in an entry that nobody has made yet."""
    lock: int
    """The descriptor of the locked file. A program that inherits it keeps the entry locked."""

    def measure(self) -> None:
        """Notes the size of the entry."""
        os.truncate(self.lock, 0)
        os.pwrite(self.lock, str(_size(self.folder)).encode(), 0)


@dataclass(frozen=True)
class _Found:
    """An entry as a cleaning finds it."""

    folder: Path
    lock: Path
    used: int
    """The time of the last use, in nanoseconds."""
    size: int


class Cache:
    """The cache of one user."""

    def __init__(self, root: Path, limit: int) -> None:
        """Makes the folders. limit: the most bytes that entries may take that nobody uses at the moment.

        Raises ShipError if the folder belongs to another user.
        """
        self.root = root
        self.limit = limit
        for folder in (root, *(root / kind for kind in KINDS)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.stat().st_uid != os.getuid():
            raise ShipError(f"{root} belongs to another user, who could change what is shipped; set XDG_CACHE_HOME")

    @contextmanager
    def use(self, kind: Kind, key: str, *, alone: bool = False) -> Generator[Entry, None, None]:
        """Locks an entry, and notes that it is used now. alone: waits until no other program or thread uses it."""
        folder = self.root / kind / key
        lock = _lock(_lock_of(folder), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, os.O_CREAT)
        try:
            os.utime(lock)
            yield Entry(folder, lock)
        finally:
            # Closing, unlike unlocking, leaves the entry locked for a program that has inherited the descriptor.
            os.close(lock)

    def clean_if_due(self) -> None:
        """Cleans if nobody has done so for a day."""
        try:
            last = self._lock.stat().st_mtime
        except FileNotFoundError:
            last = 0.0
        if abs(time.time() - last) > PAUSE:
            self.clean()

    def clean(self) -> None:
        """Removes the entries that were not used for 30 days. While the others take more than the limit, removes the one that was not
        used for longest. Entries in use stay."""
        # One program at a time. Two would each remove what one has to remove.
        lock = _lock(self._lock, fcntl.LOCK_EX, os.O_CREAT)
        try:
            found = sorted(self._entries(), key=lambda entry: entry.used)
            left = sum(entry.size for entry in found)
            for entry in found:
                if left <= self.limit and time.time() - entry.used / 1e9 <= UNUSED:
                    break
                if self._remove(entry):
                    left -= entry.size
            # Also what a program has left that was killed here.
            shutil.rmtree(self._removed, ignore_errors=True)
            os.utime(lock)
        finally:
            os.close(lock)

    @property
    def _lock(self) -> Path:
        return self.root / "clean.lock"

    @property
    def _removed(self) -> Path:
        return self.root / "removed"

    def _entries(self) -> Iterator[_Found]:
        for kind in KINDS:
            for lock in (self.root / kind).glob("*.lock"):
                folder = lock.with_suffix("")
                try:
                    yield _Found(folder, lock, lock.stat().st_mtime_ns, _size_of(folder, lock))
                except FileNotFoundError:
                    continue

    def _remove(self, entry: _Found) -> bool:
        """Removes an entry, unless it is in use."""
        try:
            lock = _lock(entry.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            return False
        try:
            if os.fstat(lock).st_mtime_ns != entry.used:
                return False
            # By one step. A program that is killed while it removes files leaves no half of an entry.
            self._removed.mkdir(exist_ok=True)
            if entry.folder.exists():
                entry.folder.rename(self._removed / uuid.uuid4().hex)
            entry.lock.unlink()
        finally:
            os.close(lock)
        return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _lock(path: Path, how: int, flags: int = 0) -> int:
    """Opens and locks a file. Raises FileNotFoundError, and BlockingIOError if `how` is not to wait."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(lock, how)
            # A cleaning may have removed the file since it was opened. Then others lock another file of this name.
            if _is_at(lock, path):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _size_of(folder: Path, lock: Path) -> int:
    """The size that the lock's file names. It names none if the program was killed that made the entry."""
    try:
        return int(lock.read_bytes())
    except ValueError:
        pass
    try:
        held = _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # It is being made, and counts in the cleaning after that.
    try:
        used = os.fstat(held).st_mtime_ns
        Entry(folder, held).measure()
        os.utime(held, ns=(used, used))
    finally:
        os.close(held)
    return int(lock.read_bytes())


def _size(folder: Path) -> int:
    """The bytes of the files of a folder. The blocks of new files say too little: some are not on the disk yet."""
    size = 0
    for path, _, files in os.walk(folder):
        for file in files:
            try:
                size += os.lstat(os.path.join(path, file)).st_size
            except FileNotFoundError:
                continue
    return size
