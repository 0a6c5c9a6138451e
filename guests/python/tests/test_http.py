"""The HTTP client without a component: what is sent, where redirects lead, what comes out."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import brrr
import brrr.http
import pytest
from brrr import serve
from brrr.http import client
from brrr.http.headers import Headers
from brrr.http.redirect import Hop, next_hop, parse_url
from conftest import FakeHost, request_for

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Hop], Answer]], list[Hop]]:
    """Puts a server behind the client; gives the requests that it gets."""

    def serve_by(answer: Callable[[Hop], Answer]) -> list[Hop]:
        hops: list[Hop] = []

        async def exchange(hop: Hop) -> tuple[int, Headers, bytes]:
            hops.append(hop)
            status, headers, content = answer(hop)
            return status, Headers(headers), content

        monkeypatch.setattr(client, "exchange", exchange)
        return hops

    return serve_by


def ok(_: Hop) -> Answer:
    return 200, {}, b"fine"


def test_what_is_sent(sent: Any) -> None:
    hops = sent(ok)

    async def requests() -> None:
        await brrr.http.get("HTTP://A.example:80/é a?q=1#f", params={"p": "1 &", "l": [1, 2]}, headers={"X-Own": "1"})
        await brrr.http.post("https://a.example:8443", json={"a": [1]})
        await brrr.http.put("http://a.example", data={"a": "1 2"}, headers={"Content-Type": "own"})
        await brrr.http.patch("http://[::1]:81/", content="é")
        await brrr.http.delete("http://bücher.example/%41")
        await brrr.http.head("http://a.example?x")

    asyncio.run(requests())
    assert [(hop.method, str(hop.url), dict(hop.headers), hop.body) for hop in hops] == [
        ("GET", "http://a.example/%C3%A9%20a?q=1&p=1+%26&l=1&l=2", {"x-own": "1"}, None),
        ("POST", "https://a.example:8443/", {"content-type": "application/json"}, b'{"a": [1]}'),
        ("PUT", "http://a.example/", {"content-type": "own"}, b"a=1+2"),
        ("PATCH", "http://[::1]:81/", {"content-type": "text/plain; charset=utf-8"}, "é".encode()),
        ("DELETE", "http://xn--bcher-kva.example/%41", {}, None),
        ("HEAD", "http://a.example/?x", {}, None),
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/x", "begins with http"),
        ("ftp://a", "begins with http"),
        ("http://", "no name of a host"),
        ("http://a b/", "no name of a host"),
        ("http://a:http/", "malformed"),
        ("http://me:secret@a.example/", "authorization"),
    ],
)
def test_urls_that_are_none(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        parse_url(url)
    assert "secret" not in str(error.value)


def test_requests_that_are_none() -> None:
    for options, kind in (
        ({"json": 1, "content": b""}, TypeError),
        ({"timeuot": 1}, TypeError),
        ({"headers": {"a b": "1"}}, ValueError),
        ({"headers": {"a": "secret\r\nb: 1"}}, ValueError),
    ):
        with pytest.raises(kind) as error:
            asyncio.run(brrr.http.get("http://a.example", **options))  # type: ignore[arg-type]
        assert "secret" not in str(error.value)
    for method in ("CONNECT", "TRACE", "G ET"):
        with pytest.raises(ValueError, match="method"):
            asyncio.run(brrr.http.request(method, "http://a.example"))


def hop(url: str, method: str = "GET", **headers: str) -> Hop:
    return Hop(method, parse_url(url), Headers(headers), b"x" if method in ("POST", "PUT") else None)


def test_where_a_redirect_leads() -> None:
    def after(location: str | None, status: int = 302) -> str | None:
        following = next_hop(hop("http://a.example/x/y?q"), status, location)
        return following and str(following.url)

    assert after("/z") == "http://a.example/z"
    assert after("z?r#g") == "http://a.example/x/z?r"
    assert after("//b.example") == "http://b.example/"
    assert after("https://a.example:8443/") == "https://a.example:8443/"
    assert after(None) is None
    assert [after("/z", status) for status in (200, 300, 304, 404)] == [None] * 4
    for location in ("file:///etc/passwd", "http://u:p@b.example/"):
        with pytest.raises(brrr.http.HTTPError, match=r"a\.example redirects"):
            after(location)


def test_what_a_redirect_makes_of_method_and_body() -> None:
    def after(method: str, status: int) -> tuple[str, bytes | None, list[str]]:
        following = next_hop(hop("http://a.example", method, **{"content-type": "t", "x-own": "1"}), status, "/")
        assert following is not None
        return following.method, following.body, list(following.headers)

    for method, status in (("POST", 301), ("POST", 302), ("POST", 303), ("PUT", 303)):
        assert after(method, status) == ("GET", None, ["x-own"])
    for method, status in (("PUT", 302), ("POST", 307), ("POST", 308)):
        assert after(method, status) == (method, b"x", ["content-type", "x-own"])
    assert after("HEAD", 303)[0] == "HEAD"


def test_another_origin_is_not_told_what_was_meant_for_the_first() -> None:
    def after(location: str) -> list[str]:
        following = next_hop(hop("http://a.example", authorization="s", cookie="s", own="1"), 302, location)
        assert following is not None
        return list(following.headers)

    assert after("/b") == ["authorization", "cookie", "own"]
    for elsewhere in ("http://b.example", "http://a.example:81", "https://a.example"):
        assert after(elsewhere) == ["own"]


def test_redirects_are_followed_to_an_end(sent: Any) -> None:
    def answer(hop: Hop) -> Answer:
        return (302, {"location": "/end"}, b"") if hop.url.path == "/" else (404, {}, b"there")

    hops = sent(answer)
    response = asyncio.run(brrr.http.get("http://a.example"))
    assert (response.status, response.url, response.text) == (404, "http://a.example/end", "there")
    first = asyncio.run(brrr.http.get("http://a.example", follow_redirects=False))
    assert (first.status, first.url) == (302, "http://a.example/")
    assert len(hops) == 3
    hops = sent(lambda _: (302, {"location": "/"}, b""))
    with pytest.raises(brrr.http.HTTPError, match="more than 20 redirects"):
        asyncio.run(brrr.http.get("http://a.example"))
    assert len(hops) == 21


def test_responses() -> None:
    def response(content: bytes, status: int = 200, **headers: str) -> brrr.http.Response:
        return brrr.http.Response(status, Headers(headers), content, "http://a.example/path?token=secret")

    assert response("é".encode()).text == "é"
    assert response("é".encode("latin-1"), **{"Content-Type": 'text/html; Charset="ISO-8859-1"'}).text == "é"
    assert response(b"\xff", **{"content-type": "text/html; charset=nonsense"}).text == "\ufffd"
    assert response(b'{"a": 1}').json() == {"a": 1}
    fine = response(b"", 302)
    assert fine.ok and fine.raise_for_status() is fine and fine.status_code == 302
    with pytest.raises(brrr.http.HTTPStatusError, match=r"^http://a\.example answered with status 500$") as error:
        response(b"", 500).raise_for_status()
    assert error.value.response.status == 500


def test_headers() -> None:
    headers = Headers([("Set-Cookie", "a=1, b"), ("set-cookie", "c=2"), ("X", "secret")])
    assert headers["SET-COOKIE"] == "a=1, b, c=2"
    assert headers.get_all("set-cookie") == ["a=1, b", "c=2"]
    assert headers.get("none") is None and "x" in headers and len(headers) == 2
    assert "secret" not in repr(headers)


class FakePollable:
    """Is ready once the clock has come as far."""

    def __init__(self, at: float) -> None:
        self.at = at


def run(main: Callable[[FakeHost, Any], Any]) -> Any:
    """Runs a handler that waits for fake pollables: its result, or how it failed."""
    host = FakeHost(lambda call: b"1")

    def select(pollables: Sequence[FakePollable], seconds: float | None) -> list[int]:
        until = min(pollable.at for pollable in pollables)
        host.clock = until if seconds is None else min(until, host.clock + seconds)
        return [i for i, pollable in enumerate(pollables) if pollable.at <= host.clock]

    def wait(seconds: float) -> Any:
        return asyncio.get_running_loop().wait_until_ready(FakePollable(host.clock + seconds), select)  # type: ignore[attr-defined]

    @brrr.handler
    async def task(app):
        return await main(host, wait)

    result = serve.handle(request_for("task"), host)
    return json.loads(result) if isinstance(result, bytes) else result


def test_all_that_is_waited_for_is_waited_for_at_once() -> None:
    async def main(host: FakeHost, wait: Any) -> float:
        await asyncio.gather(wait(1), wait(3), wait(2))
        return host.clock - 1000

    assert run(main) == 3


def test_what_comes_in_time_and_what_does_not() -> None:
    async def main(host: FakeHost, wait: Any) -> list[Any]:
        async with asyncio.timeout(5):
            await wait(1)
        try:
            async with asyncio.timeout(1):
                await wait(5)
        except TimeoutError:
            return [host.clock - 1000]
        return ["no timeout"]

    assert run(main) == [2]


def test_a_timeout_is_the_clients_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(host: FakeHost, wait: Any) -> str:
        async def exchange(hop: Hop) -> tuple[int, Headers, bytes]:
            await wait(5)
            return 200, Headers(), b""

        monkeypatch.setattr(client, "exchange", exchange)
        try:
            await brrr.http.get("http://a.example/?token=secret", timeout=1)
        except brrr.http.HTTPTimeoutError as error:
            return str(error)
        return "no error"

    assert run(main) == "GET http://a.example took longer than 1 s"


def test_a_body_that_is_no_json_is_refused_with_the_place() -> None:
    with pytest.raises(ValueError, match=r"values\[1\] is NaN"):
        client._body({"json": {"values": [1, float("nan")]}})
