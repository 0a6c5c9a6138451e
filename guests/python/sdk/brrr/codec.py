"""The JSON codec of the Python peer: what a payload and a result look like as bytes.

Byte for byte the peer's, so that results in a shared store are found by either (tests/support/vectors/json_*_python.json). The
host makes the peer's call hash of task and payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from brrr import convert, places

# `json.dumps` makes an encoder for each call that wants anything but the defaults.
_arguments = json.JSONEncoder(sort_keys=True, allow_nan=False).encode
_result = json.JSONEncoder(allow_nan=False).encode


class NotJSONError(ValueError):
    """A value can't be written as JSON; the message says why, and where in the value."""


def encode_arguments(kwargs: Mapping[str, Any]) -> bytes:
    """The payload of a call. Raises NotJSONError."""
    return f"[{_encode(_arguments, dict(kwargs), sorted_keys=True)}]".encode()


def decode_args(payload: bytes) -> tuple[list[Any], dict[str, Any]]:
    """The positional and the named arguments of a payload.

    Python's `[kwargs]` and the TypeScript peer's list with one object are the same thing; a list of anything else,
    which only that peer can make, is positional.
    """
    args = json.loads(payload)
    if not isinstance(args, list):
        raise ValueError(f"it is a JSON {type(args).__name__}")
    if len(args) == 1 and isinstance(args[0], dict):
        return [], args[0]
    return args, {}


def encode_result(result: Any) -> bytes:
    """A handler's result as bytes. Raises NotJSONError."""
    return _encode(_result, result).encode()


def decode_result(value: bytes) -> Any:
    """The result in bytes that a handler of any language stored. The TypeScript peer's `undefined` has no bytes."""
    return json.loads(value) if value else None


def _encode(encode: Callable[[Any], str], value: Any, sorted_keys: bool = False) -> str:
    if reason := places.check(value):
        raise NotJSONError(reason)
    try:
        return encode(value)
    except (RecursionError, TypeError, ValueError):
        pass
    # Nearly all values have types of JSON only, so others are looked for now, and not before.
    try:
        value = convert.plain(value)
        if reason := places.check(value):
            raise NotJSONError(reason)
        return encode(value)
    except RecursionError:
        raise NotJSONError(places.why_not(value, sorted_keys) or "it contains itself, or is nested too deep") from None
    except NotJSONError:
        raise
    except (TypeError, ValueError) as error:
        raise NotJSONError(places.why_not(value, sorted_keys) or str(error)) from None
