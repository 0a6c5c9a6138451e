"""What is asked of one server, and where its redirect leads."""

from __future__ import annotations

import encodings.idna  # A codec is imported when it is first used, which a component can't do.  # noqa: F401
import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, quote, urldefrag, urljoin, urlsplit

from brrr.http.errors import HTTPError
from brrr.http.headers import Headers

MAX_REDIRECTS = 20
"""As in browsers and httpx."""

_REDIRECTS = (301, 302, 303, 307, 308)
_OF_THE_BODY = ("content-encoding", "content-language", "content-location", "content-length", "content-type")
_SECRETS = ("authorization", "cookie", "host", "proxy-authorization")
"""What is meant for one server only."""

_SAFE = "!$%&'()*+,/:;=?@[]~"
"""What stays as it is in path and query; a `%` is taken for one that was quoted already."""

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute URL of http or https, as it is sent."""

    scheme: str
    host: str
    """With the port, if it is not the scheme's own."""
    path: str
    """With the query."""

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    def __str__(self) -> str:
        return self.origin + self.path


@dataclass(frozen=True, slots=True)
class Hop:
    """One request to one server."""

    method: str
    url: Url
    headers: Headers
    body: bytes | None


def parse_url(text: str) -> Url:
    """Raises ValueError for what is no absolute URL of http or https; it repeats no more of it than the host."""
    try:
        parts = urlsplit(urldefrag(text.strip()).url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no URL: its host or port is malformed") from None
    if parts.scheme not in _PORTS:
        raise ValueError(f"a URL begins with http:// or https://, not with {text[:8]!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"the URL of {parts.hostname} has a user or password in it: send them in the header authorization"
        )
    host = _host(parts)
    if port is not None and port != _PORTS[parts.scheme]:
        host += f":{port}"
    path = quote(parts.path or "/", safe=_SAFE)
    return Url(parts.scheme, host, f"{path}?{quote(parts.query, safe=_SAFE)}" if parts.query else path)


def _host(parts: SplitResult) -> str:
    name = parts.hostname or ""
    if ":" in name:
        return f"[{name}]"
    if not name.isascii():
        name = name.encode("idna").decode()
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"{name!r} is no name of a host")
    return name


def next_hop(hop: Hop, status: int, location: str | None) -> Hop | None:
    """The next hop after an answer with that status and `location`; None if it is no redirect. Raises HTTPError."""
    if status not in _REDIRECTS or location is None:
        return None
    try:
        url = parse_url(urljoin(str(hop.url), location))
    except ValueError as error:
        raise HTTPError(f"{hop.url.host} redirects to what can't be asked: {error}") from error
    after = replace(hop, url=url)
    posted = status in (301, 302) and hop.method == "POST"
    if posted or (status == 303 and hop.method not in ("GET", "HEAD")):
        after = replace(after, method="GET", body=None, headers=hop.headers.without(*_OF_THE_BODY))
    if url.origin != hop.url.origin:
        after = replace(after, headers=after.headers.without(*_SECRETS))
    return after
