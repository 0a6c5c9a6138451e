"""The data files of installed packages: read while a component is built, and found by those who ask for them in a run."""

from __future__ import annotations

import builtins
import errno
import importlib.machinery
import io
import os
import posixpath
import sys
from collections.abc import Callable, Iterator
from typing import Any

MOST = 4 << 20
"""Bytes of one package's data. Of a package with more, none is kept: every run would have it in its memory."""

_CODE = (".py", ".pyc", ".pyi", ".pyx", ".pxd", ".so", ".pyd", ".dylib", ".c", ".h", ".cpp", ".rs")
_SKIPPED = ("__pycache__", "tests", "test")

_files: dict[str, bytes] = {}
_folders: dict[str, list[str]] = {}


def collect(packages: list[str]) -> None:
    """Reads the data of the packages that are imported. packages: the folders in which they are."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if "." not in module.__name__ and hasattr(module, "__path__") and isinstance(file, str):
            # The SDK reads what it needs of tzdata.
            if file.startswith(tuple(packages)) and module.__name__ != "tzdata":
                _collect(posixpath.dirname(file))


def _collect(folder: str) -> None:
    found: dict[str, bytes] = {}
    for path in _data_below(folder):
        found[path] = b""
        if os.stat(path).st_size > MOST:
            return
        with open(path, "rb") as file:
            found[path] = file.read()
        if sum(map(len, found.values())) > MOST:
            return
    for path, data in found.items():
        keep(path, data, folder)


def keep(path: str, data: bytes, folder: str) -> None:
    """Keeps a file that is somewhere below `folder`."""
    _files[path] = data
    while path != folder:
        path, name = posixpath.split(path)
        names = _folders.setdefault(path, [])
        if name not in names:
            names.append(name)


def _data_below(folder: str) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        yield from (posixpath.join(root, name) for name in sorted(files) if not name.endswith(_CODE))


def install() -> None:
    """Lets the functions that read files find what was collected; after `files.install`, whose errors it takes."""
    if not _files:
        return
    anything: Any = _or(io.open, _open)
    io.open = builtins.open = anything
    os.stat = _or(os.stat, _stat)
    os.listdir = _or(os.listdir, _listdir)
    os.scandir = _or(os.scandir, _scandir)
    loader: Any = importlib.machinery.SourceFileLoader
    get_data = loader.get_data
    loader.get_data = lambda self, path: _or(get_data, lambda _, path: _files.get(_plain(path)))(self, path)


def _or(function: Callable[..., Any], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    def found(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except OSError:
            kept = otherwise(*args, **named)
            if kept is None:
                raise
            return kept

    return found


def _plain(path: Any) -> str:
    try:
        return posixpath.normpath(os.fsdecode(path))
    except TypeError:
        return ""  # a file's number


def _open(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **named: Any) -> io.IOBase | None:
    data = _files.get(_plain(file))
    if data is None:
        return None
    if set(mode) - set("rbt"):
        raise PermissionError(errno.EROFS, "the data of a package can only be read", _plain(file))
    return io.BytesIO(data) if "b" in mode else io.TextIOWrapper(io.BytesIO(data), *args, **named)


def _stat(path: Any, *_: Any, **__: Any) -> os.stat_result | None:
    path = _plain(path)
    if path in _folders:
        return os.stat_result((0o040555, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    data = _files.get(path)
    return None if data is None else os.stat_result((0o100444, 0, 0, 1, 0, 0, len(data), 0, 0, 0))


def _listdir(path: Any = ".") -> list[str] | None:
    names = _folders.get(_plain(path))
    return None if names is None else sorted(names)


def _scandir(path: Any = ".") -> _Entries | None:
    names = _folders.get(_plain(path))
    return None if names is None else _Entries(_Entry(_plain(path), name) for name in sorted(names))


class _Entries:
    """What `os.scandir` gives."""

    def __init__(self, entries: Iterator[_Entry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[_Entry]:
        return self._entries

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None: ...


class _Entry:
    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.path = posixpath.join(folder, name)

    def __fspath__(self) -> str:
        return self.path

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self.path in _folders

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self.path in _files

    def is_symlink(self) -> bool:
        return False

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path)
