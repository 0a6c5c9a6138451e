"""Files as a handler sees them: in the folders that the worker gives (`run --dir HOST_PATH::GUEST_PATH`)."""

from __future__ import annotations

import builtins
import errno
import functools
import io
import os
import posixpath
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_OF_OS = ("listdir", "mkdir", "open", "remove", "rename", "replace", "rmdir", "scandir", "stat", "unlink")
_OF_FOLDERS = ("listdir", "scandir")

_stat = os.stat


def _reachable(path: str) -> bool:
    """Is it in a folder that was given? Then one of the folders above it can be looked at."""
    while path != "/":
        path = posixpath.dirname(path)
        try:
            _stat(path)
        except OSError:
            continue
        return True
    return False


def why(error: OSError, folder: bool = False) -> str | None:
    """What the error is about, if it is about what the worker allows. `folder`: what was wanted is a folder itself."""
    if error.errno not in (errno.ENOENT, errno.EPERM) or not isinstance(error.filename, (str, os.PathLike)):
        return None
    path = posixpath.normpath(posixpath.join("/", os.fspath(error.filename)))
    if not isinstance(path, str):
        return None
    if not _reachable(path):
        return f"not allowed: --dir HOST_PATH::{path if folder else posixpath.dirname(path)}"
    # In there nothing is forbidden but to write.
    return "only to be read, by the `:ro` of its --dir" if error.errno == errno.EPERM else None


def _saying_why(function: Callable[P, R], folder: bool = False) -> Callable[P, R]:
    @functools.wraps(function)
    def named(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except OSError as error:
            text = why(error, folder)
            if text is None:
                raise
            raise type(error)(error.errno, text, error.filename, None, error.filename2) from None

    return named


def install() -> None:
    """Changes the functions that others are made of: pathlib and shutil call these."""
    for name in _OF_OS:
        setattr(os, name, _saying_why(getattr(os, name), name in _OF_FOLDERS))
    anything: Any = _saying_why(io.open)
    io.open = builtins.open = anything
