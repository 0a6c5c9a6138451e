"""An exception as text, with all that it says: its notes, its causes, and the exceptions of a group."""

from __future__ import annotations

import asyncio
import linecache
import os
import traceback
from types import TracebackType

from brrr.errors import CallFailedError
from brrr.text import clean

FRAMES = 6
"""Frames of a traceback that are shown: the place, and how one got there."""

MEMBERS = 20
"""Exceptions of a group that are shown."""

DEPTH = 12
"""Causes of causes, and groups in groups, that are shown."""

TEXT = 4000
"""Characters of one exception's own text that are shown, so that a long one leaves room for its causes: the host cuts the
whole at 16 KiB."""

built = True
"""Is the component built? Then what can't be imported never can."""

_OWN_FOLDERS = (
    os.path.join(os.path.dirname(__file__), ""),
    # Not `os.__file__`: the component's `os` is frozen, and names another folder than that of the library.
    os.path.join(os.path.dirname(os.path.dirname(asyncio.__file__)), ""),
    "/world/",  # componentize-py's bindings
)


def describe(error: BaseException) -> str:
    """The error's type and message, and the innermost frames of the user's code, innermost first; then its causes."""
    return _text(error, plain=False)


def describe_permanent(error: BaseException) -> str:
    """Like `describe`, but of the error itself only what its author has written: no type, no frames."""
    return _text(error, plain=True)


def keep_source(filename: str) -> None:
    """Keeps the text of a source file for tracebacks: a component has no files."""
    if linecache.getlines(filename):
        size, _, lines, fullname = linecache.cache[filename]  # type: ignore[misc]
        # With a time of change, the traceback module would look for the file, and forget the text.
        linecache.cache[filename] = (size, None, lines, fullname)


def _text(error: BaseException, plain: bool) -> str:
    try:
        return clean("\n".join(_lines(error, set(), 0, plain)))
    except BaseException as trouble:
        # The handler has failed, and that must be told whatever its exceptions do when they are looked at.
        return f"{type(error).__name__} (its text can't be shown: {type(trouble).__name__})"


def _lines(error: BaseException, seen: set[int], depth: int, plain: bool = False) -> list[str]:
    seen.add(id(error))
    lines = _head(error, plain)
    if isinstance(error, CallFailedError) and len(error.chain) > 1:
        lines += [f"  {link}" for link in error.chain]
    if not plain:
        lines += _user_frames(error.__traceback__)[:FRAMES]
    if isinstance(error, BaseExceptionGroup):
        lines += _members(error, seen, depth)
    word, other = "caused by", error.__cause__
    if other is None and not error.__suppress_context__:
        word, other = "while handling", error.__context__
    if isinstance(error, TimeoutError) and isinstance(other, asyncio.CancelledError):
        other = None  # how asyncio ends what has taken too long; it says nothing more
    if other is None or id(other) in seen:
        return lines
    if depth == DEPTH:
        return [*lines, f"{word} more, which is not shown"]
    first, *rest = _lines(other, seen, depth + 1)
    return [*lines, f"{word} {first}", *rest]


def _members(group: BaseExceptionGroup[BaseException], seen: set[int], depth: int) -> list[str]:
    if depth == DEPTH:
        return [f"  {len(group.exceptions)} exceptions, which are not shown"]
    lines = []
    for i, member in enumerate(group.exceptions[:MEMBERS], 1):
        first, *rest = _lines(member, seen, depth + 1)
        lines += [f"  {i}. {first}", *(f"     {line}" for line in rest)]
    if (more := len(group.exceptions) - MEMBERS) > 0:
        lines.append(f"  … and {more} more")
    return lines


def _head(error: BaseException, plain: bool) -> list[str]:
    text = "".join(traceback.format_exception_only(error)).strip()
    if plain and (own := str(error)):
        notes = getattr(error, "__notes__", None)
        text = "\n".join([own, *map(str, notes if isinstance(notes, (list, tuple)) else ())])
    if len(text) > TEXT:
        text = text[:TEXT] + "…"
    lines = text.split("\n")
    if isinstance(error, ImportError) and built:
        which = "" if isinstance(error, ModuleNotFoundError) else "if this is a module, "
        lines.append(f"  {which}this component does not have it: import it at the top of a module, and build again")
    return lines


def _user_frames(tb: TracebackType | None) -> list[str]:
    frames = []
    for frame, line in traceback.walk_tb(tb):
        code = frame.f_code
        if code.co_filename.startswith(("<", *_OWN_FOLDERS)) and "site-packages" not in code.co_filename:
            continue
        source = linecache.getline(code.co_filename, line).strip()
        place = f"  at {code.co_qualname} ({os.path.basename(code.co_filename)}:{line})"
        frames.append(f"{place}: {source}" if source else place)
    return frames[::-1]
