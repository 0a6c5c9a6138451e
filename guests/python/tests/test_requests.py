"""The package requests over the SDK's HTTP, without a component."""

import gzip
import io
import json
from collections.abc import Iterator

import brrr.requests  # noqa: F401
import pytest
import requests
from brrr.http import client
from brrr.http.errors import HTTPError, HTTPTimeoutError
from brrr.http.headers import Headers
from brrr.http.redirect import Hop

sent: list[tuple[Hop, float | None]] = []


def answer(hop: Hop, seconds: float | None) -> tuple[int, Headers, bytes]:
    """A server of a few pages."""
    sent.append((hop, seconds))
    match hop.url.path:
        case "/moved":
            return 302, Headers([("location", "/there"), ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")]), b""
        case "/none":
            return 404, Headers(), b"nothing"
        case "/late":
            raise HTTPTimeoutError("too late")
        case "/refused":
            raise HTTPError("HTTP to example.com is not allowed: --allow-http example.com")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    return 200, Headers(headers), gzip.compress(json.dumps(dict(hop.headers)).encode())


@pytest.fixture(autouse=True)
def _answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(client, "exchange_now", answer)
    sent.clear()
    yield


def test_a_request() -> None:
    response = requests.get("http://example.com/a", params={"b": "c d"}, timeout=3, headers={"X-Mine": "1"})
    assert (response.status_code, response.reason, response.ok) == (200, "OK", True)
    assert response.json()["x-mine"] == "1" and "connection" not in response.json()
    ((hop, seconds),) = sent
    assert (hop.method, str(hop.url), hop.body, seconds) == ("GET", "http://example.com/a?b=c+d", None, 3)


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({"json": {"a": 1}}, b'{"a": 1}'),
        ({"data": {"a": "ä"}}, b"a=%C3%A4"),
        ({"data": "ä"}, "ä".encode()),
        ({"data": io.BytesIO(b"file")}, b"file"),
        ({"data": iter([b"p", b"q"])}, b"pq"),
    ],
)
def test_bodies(options: dict, body: bytes) -> None:
    requests.post("http://example.com/", **options)
    assert sent[0][0].body == body
    assert not {"content-length", "transfer-encoding"} & set(sent[0][0].headers)


def test_redirects_and_cookies_are_those_of_requests() -> None:
    with requests.Session() as session:
        response = session.get("http://example.com/moved", timeout=(1, 2))
    assert response.url == "http://example.com/there" and [each.status_code for each in response.history] == [302]
    assert sent[1][0].headers["cookie"] == "a=1; b=2"
    assert sent[1][1] == 3


def test_errors_are_those_of_requests() -> None:
    with pytest.raises(requests.HTTPError, match="404 Client Error: Not Found"):
        requests.get("http://example.com/none").raise_for_status()
    with pytest.raises(requests.Timeout, match="too late"):
        requests.get("http://example.com/late")
    with pytest.raises(requests.ConnectionError, match="--allow-http example.com"):
        requests.get("http://example.com/refused")
