"""Reads and writes values in the form of the API."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

Duration = timedelta | float | str
"""A timedelta, a number of seconds, or a text such as `1h 30m`, `5s` or `250ms`."""


def path(*parts: str) -> str:
    """The path below /v1 with these segments. A segment may contain any character."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def visible(text: str) -> bool:
    """Has the text only visible ASCII characters, and at least one? Such a text can be sent in a header."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def seconds(duration: timedelta | float) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def duration_text(duration: Duration) -> str:
    """Writes a duration. Raises ValueError if it is negative or not finite."""
    if isinstance(duration, str):
        return duration
    length = seconds(duration)
    if not 0 <= length < math.inf:
        raise ValueError(f"{duration} is not a duration; it must be 0 or more, and finite")
    # Rounded up, so that a short time does not become zero.
    return f"{math.ceil(round(length * 1000, 3))}ms"


def time_text(time: datetime) -> str:
    """Writes a time. Raises ValueError if it has no time zone, because its meaning is then open."""
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; use datetime.now(timezone.utc), or time.astimezone() for local time")
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def size(text: int | str) -> int:
    """A size in bytes. Raises ValueError if it is none."""
    match = re.fullmatch(r"([0-9]+) ?(B|KiB|MiB|GiB|TiB)?", str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a size; write a number of bytes, or a text such as 500MiB or 2GiB")
    return int(match[1]) << 10 * ("B", "KiB", "MiB", "GiB", "TiB").index(match[2] or "B")


def bound_text(bound: datetime | timedelta, now: datetime) -> str:
    """Writes a bound of a listing. A timedelta means so long before `now`. Raises ValueError for a bound that is no time."""
    if isinstance(bound, timedelta):
        if bound < timedelta(0):
            raise ValueError(f"{bound!r} is no time ago; it must be 0 or more")
        try:
            bound = now - bound
        except OverflowError as error:
            raise ValueError(f"{bound!r} is too long ago; leave it out") from error
    # The gateway counts milliseconds. What is not before the next whole one is not before the bound.
    return time_text(bound + timedelta(microseconds=-bound.microsecond % 1000))


def time_of(text: str) -> datetime:
    """Reads a time."""
    # Python 3.10 can't read the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def time_or_none(text: str | None) -> datetime | None:
    """Reads a time that may be missing."""
    return None if text is None else time_of(text)


def milliseconds_or_none(number: int | None) -> timedelta | None:
    """Reads a duration that may be missing."""
    return None if number is None else timedelta(milliseconds=number)


def to_json(value: object) -> bytes:
    """Writes JSON. Raises TypeError or ValueError if JSON has no such value."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def from_json(content: bytes) -> Any:
    """Reads JSON. Whole numbers keep all digits. Raises ValueError if the text is not JSON."""
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # A number has more digits than int() accepts (4300).
        return json.loads(content, parse_int=lambda digits: int(Decimal(digits)))
