"""The answer to a request."""

from __future__ import annotations

import encodings.cp1252  # Codecs are imported when they are first used, which a component can't do.
import encodings.iso8859_15
import encodings.latin_1  # noqa: F401
import json
from dataclasses import dataclass
from typing import Any

from brrr.http.errors import HTTPStatusError
from brrr.http.headers import Headers


@dataclass(frozen=True, slots=True)
class Response:
    """A response with its whole body. Attributes are called as in requests and httpx."""

    status: int
    headers: Headers
    content: bytes
    """The body."""
    url: str
    """Where it came from in the end, after redirects."""

    @property
    def status_code(self) -> int:
        """`status`, by the name that requests and httpx give it."""
        return self.status

    @property
    def ok(self) -> bool:
        """Is the status below 400?"""
        return self.status < 400

    @property
    def text(self) -> str:
        """The body as text: in the charset that the header content-type names, UTF-8 without one."""
        charset = "utf-8"
        for parameter in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.strip().partition("=")
            if name.lower() == "charset":
                charset = value.strip("\"'")
        try:
            return self.content.decode(charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body, read as JSON. Raises ValueError."""
        return json.loads(self.content)

    def raise_for_status(self) -> Response:
        """Itself, if the status is below 400. Raises HTTPStatusError."""
        if self.ok:
            return self
        # Neither path nor query: they may hold secrets.
        origin = "/".join(self.url.split("/", 3)[:3])
        raise HTTPStatusError(f"{origin} answered with status {self.status}", self)
