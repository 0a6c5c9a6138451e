"""Values as the API writes them."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import quote

Duration = timedelta | float | str
"""A timedelta, a number of seconds, or a text: `1h 30m`, `5s`, `250ms`."""


def path(*parts: str) -> str:
    """A path below /v1 of these parts, which may contain any character."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def visible(text: str) -> bool:
    """Can this be sent in a header? Only visible ASCII characters, at least one."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def seconds(duration: timedelta | float) -> float:
    """A duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def duration_text(duration: Duration) -> str:
    """A duration in the API's form. Raises ValueError if it is negative or no number."""
    if isinstance(duration, str):
        return duration
    length = seconds(duration)
    if not 0 <= length < math.inf:
        raise ValueError(f"a duration is at least 0, and finite, not {duration}")
    # Rounded up, so that a short time does not become none at all.
    return f"{math.ceil(round(length * 1000, 3))}ms"


def time_text(time: datetime) -> str:
    """A time in the API's form. Raises ValueError if it has no time zone: nobody could tell which time it means."""
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; take datetime.now(timezone.utc), or time.astimezone()")
    return time.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def time_of(text: str) -> datetime:
    """Reads a time."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def time_or_none(text: str | None) -> datetime | None:
    """Reads a time that may be missing."""
    return None if text is None else time_of(text)


def milliseconds_or_none(number: int | None) -> timedelta | None:
    """Reads a duration that may be missing."""
    return None if number is None else timedelta(milliseconds=number)


def to_json(value: object) -> bytes:
    """Writes JSON. Raises TypeError or ValueError for what JSON does not have."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def from_json(content: bytes) -> Any:
    """Reads JSON. Whole numbers keep their digits. Raises ValueError for what is no JSON."""
    try:
        return json.loads(content)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:
        # A number of more digits than Python's int() takes (4300).
        return json.loads(content, parse_int=lambda digits: int(Decimal(digits)))
