"""The pages, and the stream of events that a page follows."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl

from brrr_client import ApiError, AsyncClient, BrrrError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from shop.orders import PRICES, Orders, first_line
from shop.security import Guard

HERE = Path(__file__).parent
FORM_BYTES = 4096
NUMBER = re.compile(r"[0-9A-Za-z-]{1,40}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")

templates = Jinja2Templates(HERE / "templates")
templates.env.filters["money"] = lambda cents: f"{cents / 100:.2f} €"
templates.env.filters["first_line"] = first_line


def application(client: AsyncClient) -> Starlette:
    """The web application. client: a client of the gateway, which is closed when the application stops."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    app = Starlette(
        routes=[
            Route("/", home),
            Route("/orders", place, methods=["POST"]),
            Route("/orders/{id}", show),
            Route("/orders/{id}/events", events),
            Route("/orders/{id}/{action:str}", act, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=[
            Middleware(Guard),
            # A foreign name that leads to this machine is not this shop.
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        ],
        exception_handlers={HTTPException: refused, BrrrError: unavailable},
        lifespan=lifespan,
    )
    app.state.orders = Orders(client)
    return app


def orders_of(request: Request) -> Orders:
    orders: Orders = request.app.state.orders
    return orders


async def home(request: Request) -> Response:
    """The form for an order, and the newest orders."""
    # The number is made here and not when the form comes back, so a form that is sent twice is one order.
    context = {"prices": PRICES, "number": secrets.token_hex(6), "orders": await orders_of(request).recent()}
    return templates.TemplateResponse(request, "home.html", context)


async def place(request: Request) -> Response:
    form = await read_form(request)
    number, item, quantity, email = (form.get(name, "") for name in ("number", "item", "quantity", "email"))
    if not NUMBER.fullmatch(number):
        raise HTTPException(422, "The number of an order has 1 to 40 letters and digits.")
    if item not in PRICES:
        raise HTTPException(422, "There is no such item.")
    if not re.fullmatch(r"[1-9][0-9]?", quantity):
        raise HTTPException(422, "The quantity is a number from 1 to 99.")
    if not EMAIL.fullmatch(email):
        raise HTTPException(422, "The mail address is not complete.")
    id = await orders_of(request).place(number, item, int(quantity), email)
    return RedirectResponse(f"/orders/{id}", 303)


async def show(request: Request) -> Response:
    """One order. Its script follows the events."""
    orders, id = orders_of(request), request.path_params["id"]
    info = await orders.find(id)
    waits = not info.is_over and await orders.waits_for_approval(id)
    return templates.TemplateResponse(request, "order.html", {"order": info, "waits": waits})


async def act(request: Request) -> Response:
    """A button of an order."""
    orders, id = orders_of(request), request.path_params["id"]
    form = await read_form(request)
    match request.path_params["action"]:
        case "approve":
            await orders.approve(id, form.get("by") or "somebody")
        case "reject":
            await orders.reject(id, form.get("reason") or "no reason given")
        case "cancel":
            await orders.cancel(id)
        case _:
            raise HTTPException(404, "There is no such page.")
    return RedirectResponse(f"/orders/{id}", 303)


async def events(request: Request) -> Response:
    """The progress of an order as server-sent events. A browser that comes back continues where it was."""
    orders, id = orders_of(request), request.path_params["id"]
    # An order that does not exist is a 404, and no stream.
    await orders.find(id)

    async def stream() -> AsyncGenerator[str, None]:
        try:
            async for each in orders.progress(id, request.headers.get("last-event-id")):
                data = json.dumps({"text": each.text, "waits": each.waits_for_approval})
                yield f"id: {each.id}\nevent: {'over' if each.is_over else 'step'}\ndata: {data}\n\n"
        except BrrrError:
            # The gateway is away for longer than the client waits. The browser connects again after the end of the stream.
            return

    # When the page is closed, Starlette cancels the generator, and so the connection to the gateway is closed too.
    return StreamingResponse(stream(), media_type="text/event-stream")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises HTTPException if it is too large or no form."""
    if request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "This is not a form.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise HTTPException(413, "The form is too large.")
    try:
        return dict(parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=20))
    except ValueError:
        raise HTTPException(400, "The form can't be read.") from None


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_page(request, error.status_code, error.detail)


async def unavailable(request: Request, error: Exception) -> Response:
    """What the gateway refuses, with its words; anything else means that it can't be reached."""
    if isinstance(error, ApiError) and 400 <= error.status < 500 and error.status != 401:
        return error_page(request, error.status, error.detail)
    response = error_page(request, 503, "The shop is not available. Please try again.")
    response.headers["retry-after"] = "5"
    return response


def error_page(request: Request, status: int, text: str) -> Response:
    return templates.TemplateResponse(request, "error.html", {"status": status, "text": text}, status_code=status)
