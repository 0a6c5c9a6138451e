"""Uses the shop as browsers do, kills its worker in the middle of two orders, and says in one line what it has seen.

run.sh calls it: python check.py SHOP WORKER.pid WORKER.out
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PATIENCE = 120.0
"""Seconds for one wait. An order takes some seconds, and more on a machine under load."""

FORM = "application/x-www-form-urlencoded"


@dataclass
class Step:
    """An event of an order's page."""

    id: str
    text: str
    waits: bool
    is_over: bool


class Browser:
    """Places orders, presses buttons, and follows the events of a page."""

    def __init__(self, shop: str) -> None:
        # While the worker starts again, a request waits in the shop.
        self._http = httpx.Client(base_url=shop, timeout=60)

    def post(self, path: str, form: dict[str, str], expect: int = 303, headers: dict[str, str] | None = None) -> str:
        """Sends a form. Returns where the answer leads."""
        answer = self._http.post(path, data=form, headers={"content-type": FORM} | (headers or {}))
        assert answer.status_code == expect, f"POST {path}: {answer.status_code}, not {expect}: {answer.text}"
        return str(answer.headers.get("location", ""))

    def place(self, number: str, item: str, quantity: int, expect: int = 303) -> str:
        """Places an order. Returns the path of its page."""
        form = {"number": number, "item": item, "quantity": str(quantity), "email": "ann@example.com"}
        return self.post("/orders", form, expect)

    def get(self, path: str, expect: int = 200, **headers: str) -> httpx.Response:
        answer = self._http.get(path, headers=headers)
        assert answer.status_code == expect, f"GET {path}: {answer.status_code}, not {expect}: {answer.text}"
        return answer

    def follow(self, order: str, last: str = "") -> Iterator[Step]:
        """The events of an order. When the stream breaks, it continues after the last one, as a browser does.

        last: the id of an event. The first event is the one after it.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            headers = {"last-event-id": last} if last else {}
            with self._http.stream("GET", f"{order}/events", headers=headers, timeout=PATIENCE) as answer:
                if answer.status_code == 503:
                    continue
                assert answer.status_code == 200, f"events of {order}: {answer.status_code}"
                for message in messages(answer.iter_lines()):
                    last = message["id"]
                    data = json.loads(message["data"])
                    step = Step(last, data["text"], data["waits"], message["event"] == "over")
                    yield step
                    if step.is_over:
                        return
        raise AssertionError(f"{order} is not over after {PATIENCE:g} s")

    def until(self, order: str, found: Callable[[Step], Any]) -> Step:
        """The first event of an order that is looked for."""
        for step in self.follow(order):
            if found(step):
                return step
        raise AssertionError(f"{order} is over without the event that was looked for")

    def end(self, order: str, *texts: str) -> list[str]:
        """Follows an order to its end, and looks for the texts on its page. Returns its events."""
        steps = [step.text for step in self.follow(order)]
        page = self.get(order).text
        for text in texts:
            assert text in page, f"{text!r} is not on the page of {order}:\n{page}"
        return steps


def messages(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """The server-sent events in the form in which the shop writes them: each field is one line."""
    message: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            message[name] = value
        else:
            yield message
            message = {}


def wait_for(what: str, condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}"
        time.sleep(0.05)


def main(shop: str, pid_file: Path, output: Path) -> str:
    browser = Browser(shop)

    def printed(text: str) -> int:
        return output.read_text().count(text)

    def undone(order: str) -> int:
        return printed(f"order {order.rsplit('/', 1)[1]}: undone")

    # A small order; the customer presses the button twice.
    small = browser.place("small", "lamp", 2)
    assert browser.place("small", "lamp", 2) == small, "an order that is placed twice is two jobs"
    steps = browser.end(small, "completed", "sold", "90.00 €", "needs no approval")
    assert any("the bank is busy" in step for step in steps), f"the charge was not tried again: {steps}"
    assert browser.place("small", "lamp", 2) == small, "an order that is over is placed again"
    browser.place("small", "chair", 1, expect=409)
    events = list(browser.follow(small))
    assert list(browser.follow(small, last=events[2].id)) == events[3:], "a page that comes back does not continue where it was"
    wait_for("the mail of the small order", lambda: printed("Order small: 2 x lamp, sold"))

    # Large orders: a person approves one and rejects one, and the customer cancels one.
    approved, rejected, cancelled = (browser.place(name, "desk", 1) for name in ("approved", "rejected", "cancelled"))
    for order in (approved, rejected, cancelled):
        browser.until(order, lambda step: step.waits)
        assert "waits for an approval" in browser.get(order).text
    browser.post(f"{approved}/approve", {"by": "Ann"})
    browser.end(approved, "completed", "sold", "approved by Ann")
    browser.post(f"{rejected}/reject", {"reason": "<b>too dear</b>"})
    browser.end(rejected, "completed", "rejected", "&lt;b&gt;too dear&lt;/b&gt;")
    wait_for("the undoing of the rejected order", lambda: undone(rejected))
    browser.post(f"{rejected}/approve", {"by": "Bob"}, expect=409)
    browser.post(f"{cancelled}/cancel", {})
    browser.end(cancelled, "cancelled")
    browser.post(f"{cancelled}/cancel", {})
    wait_for("the undoing of the cancelled order", lambda: undone(cancelled))

    # The worker is killed while one order waits for a person and another one for the next attempt of its charge.
    waiting = browser.place("waiting", "desk", 2)
    browser.until(waiting, lambda step: step.waits)
    interrupted = browser.place("interrupted", "chair", 3)
    browser.until(interrupted, lambda step: "the bank is busy" in step.text)
    worker = pid_file.read_text()
    os.kill(int(worker), signal.SIGKILL)
    browser.end(interrupted, "completed", "sold", "360.00 €")
    assert pid_file.read_text() != worker, "the worker was not killed"
    browser.post(f"{waiting}/approve", {"by": "Ann"})
    browser.end(waiting, "completed", "sold", "approved by Ann")

    # Once for each order, whatever happened.
    wait_for("the mail of the last order", lambda: printed("Order waiting: 2 x desk, sold"))
    assert printed("Order small:") == 1, "the small order sent several mails"
    assert not undone(approved), "an approved order was undone"

    # Pages of other sites, other names of this machine, orders that do not exist, fields that are wrong.
    browser.post("/orders", {}, expect=403, headers={"origin": "https://elsewhere.example"})
    browser.post("/orders", {}, expect=403, headers={"sec-fetch-site": "cross-site"})
    browser.get("/", expect=400, host="elsewhere.example")
    browser.get(f"/orders/{'0' * 32}", expect=404)
    browser.get(f"/orders/{'0' * 32}/events", expect=404)
    browser.place("wrong", "lamp", 0, expect=422)
    assert "script-src 'self'" in browser.get("/").headers["content-security-policy"]
    return "the shop works: 1 small order placed 3 times, 2 approved, 1 rejected, 1 cancelled, 2 continued after SIGKILL"


if __name__ == "__main__":
    try:
        print(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))
    except AssertionError as error:
        sys.exit(f"the shop does not work: {error}")
    except httpx.RequestError as error:
        sys.exit(f"the shop does not work: {error.request.method} {error.request.url}: {error!r}")
