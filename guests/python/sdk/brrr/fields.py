"""The fields of a log record: what `logging.info("…", extra={…})` gives it."""

from __future__ import annotations

import json
import logging
from typing import Any

from brrr import convert

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has."""


def of(record: logging.LogRecord) -> list[tuple[str, str]]:
    """The names with their values, in the order in which they were given."""
    return [(name, _text(value)) for name, value in vars(record).items() if name not in _OWN]


def _text(value: Any) -> str:
    """Text stays as it is; a value that JSON has is written as JSON, another one as `str` does."""
    if isinstance(value, str):
        return value
    try:
        plain = convert.plain(value)
        return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    except Exception:
        pass
    try:
        return str(value)
    except Exception as error:  # a value's own text may be anything; no reason for the handler to fail
        return f"({type(value).__name__}, whose text can't be shown: {type(error).__name__})"
