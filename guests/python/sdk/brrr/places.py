"""Finds out why a value can't be written as JSON, and where in the value that is: `values[1] is NaN`."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Iterator
from typing import Any

_SCALARS = frozenset({str, int, float, bool, type(None)})
DEPTH = 2000
"""Lists and dicts inside each other, at most: more than that the host takes from nobody."""

_KEYS = (str, int, float, bool, type(None))


def why_not(value: Any, sorted_keys: bool = False) -> str | None:
    """What keeps `value` from being JSON, with its place; None if nothing was found. `sorted_keys`: keys get sorted."""
    for place, part, parents in _walk(value):
        if reason := _reason(part, parents, sorted_keys):
            return f"{place or 'it'} {reason}"
    return None


def check(value: Any) -> str | None:
    """What keeps `value` from being JSON of those things that Python's encoder does not see: two keys of a dict that are the
    same as text (of `{1: "a", "1": "b"}` one would be lost), and a depth that the component's stack does not bear."""
    # Nearly all values are shallow and have keys of text only. So this looks at types first, and has no places.
    level: list[Any] = [value]
    for _ in range(DEPTH):
        below: dict[int, Any] = {}
        for part in level:
            if isinstance(part, dict):
                if set(map(type, part)) - {str} and _same_keys(part):
                    return why_not(value)
                part = part.values()
            elif not isinstance(part, (list, tuple)):
                continue
            if set(map(type, part)) - _SCALARS:
                below.update((id(inner), inner) for inner in part)
        if not below:
            return None
        level = list(below.values())
    return why_not(value) or f"it is nested deeper than {DEPTH}"


def _walk(value: Any) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
    """Each part of a value, in order, with its place and the identities of the containers around it."""
    todo: list[tuple[str, Any, tuple[int, ...]]] = [("", value, ())]
    while todo:
        place, part, parents = todo.pop()
        yield place, part, parents
        if id(part) in parents or len(parents) > DEPTH:
            continue
        inside = (*parents, id(part))
        if isinstance(part, dict):
            todo += [(below(place, key), inner, inside) for key, inner in reversed(part.items())]
        elif isinstance(part, (list, tuple)):
            todo += [(f"{place}[{i}]", part[i], inside) for i in reversed(range(len(part)))]


def below(place: str, key: Any) -> str:
    """The place of what a dict has under a key."""
    if not (isinstance(key, str) and key.isidentifier()):
        return f"{place}[{key!r}]"
    return f"{place}.{key}" if place else key


def _reason(part: Any, parents: tuple[int, ...], sorted_keys: bool) -> str | None:
    if part is None or isinstance(part, (str, int)):
        return None
    if isinstance(part, float):
        return None if math.isfinite(part) else f"is {_number(part)}, which JSON does not have"
    if isinstance(part, (dict, list, tuple)):
        if id(part) in parents:
            return "contains itself"
        return _reason_of_keys(part, sorted_keys) if isinstance(part, dict) else None
    return _reason_of_object(part)


def _reason_of_keys(part: dict[Any, Any], sorted_keys: bool) -> str | None:
    for key in part:
        if not isinstance(key, _KEYS):
            return f"has a key of the type {type(key).__name__}; the keys of JSON are text"
        if isinstance(key, float) and not math.isfinite(key):
            return f"has the key {_number(key)}, which JSON does not have"
    if same := _same_keys(part):
        return f"has two keys that are the same in JSON: {same[0]!r} and {same[1]!r}"
    types = sorted({type(key).__name__ for key in part})
    if sorted_keys and len(types) > 1 and "str" in types:
        return f"has keys of the types {' and '.join(types)}, which can't be sorted: make them all text"
    return None


def _reason_of_object(part: Any) -> str | None:
    if (invocation := getattr(part, "invocation", None)) is not None and inspect.isawaitable(part):
        return f"is a call of {invocation.task} that was not awaited: write `await` before it"
    if inspect.iscoroutine(part):
        return f"is a coroutine of {part.__qualname__} that was not awaited: write `await` before it"
    if isinstance(part, asyncio.Future) or inspect.isawaitable(part):
        return f"is a {type(part).__name__} that was not awaited: write `await` before it"
    return f"is of the type {type(part).__name__}, which JSON does not have"


def _same_keys(part: dict[Any, Any]) -> tuple[Any, Any] | None:
    texts: dict[str, Any] = {}
    for key in part:
        if not isinstance(key, _KEYS):
            continue
        text = _as_text(key)
        if text in texts:
            return texts[text], key
        texts[text] = key
    return None


def _as_text(key: Any) -> str:
    """The key as JSON has it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return float.__repr__(key) if isinstance(key, float) else int.__repr__(key)


def _number(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
