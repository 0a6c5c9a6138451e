"""Text that leaves a component must be valid Unicode; a Python string need not be (`"\\ud83d"` is half of a character)."""

from __future__ import annotations

import codecs

REPLACEMENT = "\ufffd"

ERRORS = "brrr.replace"
"""The name of the error handler for streams in UTF-8: `sys.stdout.reconfigure(encoding="utf-8", errors=ERRORS)`."""


def clean(text: object) -> str:
    """The text, with U+FFFD in place of each surrogate that has no partner. Two that belong together become one character."""
    text = text if isinstance(text, str) else str(text)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _replace(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # As bytes: Python's UTF-8 encoder takes no text that is not ASCII in place of a character.
    return (REPLACEMENT * (error.end - error.start)).encode(), error.end


codecs.register_error(ERRORS, _replace)
