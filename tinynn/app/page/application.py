"""The page's server as an ASGI application: the page itself, `read` for a drawing, `correct` for one with its label."""

from __future__ import annotations

import base64
import threading
from typing import Any

import numpy as np

from tinynn.app.digitise import digitise
from tinynn.app.page.corrections import Corrections
from tinynn.app.page.document import document, policy
from tinynn.app.page.guard import App, Guard
from tinynn.app.page.reader import check, read
from tinynn.app.page.requests import Refusal, drawing, parsed
from tinynn.errors import MissingExtraError, TinynnError

__all__ = ["application"]

HEADERS = {
    "Content-Security-Policy": f"{policy(chr(39) + 'self' + chr(39))}; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def application(net: Any, port: int, *, name: str = "model", corrections: Corrections | None = None) -> App:
    """The application for a server at 127.0.0.1:`port`.

    Errors: MissingExtraError without the package starlette; ConfigurationError for a network that does not read digits.
    """
    try:
        from starlette.applications import Starlette
        from starlette.concurrency import run_in_threadpool
        from starlette.exceptions import HTTPException
        from starlette.requests import Request
        from starlette.responses import HTMLResponse, JSONResponse, Response
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError("starlette", extra="serve", purpose="serving the page") from error

    classes = check(net)
    page = document(name, classes, keeps=corrections is not None)
    lock = threading.Lock()  # one digit at a time: each thread that reads keeps arrays of its own in the network

    async def show(request: Request) -> Response:
        return HTMLResponse(page)

    async def on_read(request: Request) -> Response:
        image, _ = drawing(parsed(await request.body()))
        return JSONResponse(await run_in_threadpool(answer, image))

    async def on_correct(request: Request) -> Response:
        image, label = drawing(parsed(await request.body()), len(classes))
        return JSONResponse({"kept": await run_in_threadpool(keep, image, label)})

    def answer(image: np.ndarray) -> dict[str, Any]:
        digit = told(422, digitise, image)
        with lock:
            reading = told(422, read, net, digit)
        layers = [
            {"name": one.name, "shape": one.values.shape, "values": text_of(one.values)} for one in reading.layers
        ]
        return {"digit": text_of(digit), "outputs": reading.outputs.tolist(), "layers": layers}

    def keep(image: np.ndarray, label: int) -> int:
        assert corrections is not None
        return told(409, corrections.add, told(422, digitise, image), label)

    def refusal(refused: Refusal) -> App:
        headers = {"Connection": "close"} if refused.status in (408, 413) else None
        return JSONResponse({"error": refused.sentence}, refused.status, headers)

    async def on_refusal(request: Request, error: Any) -> Response:
        return JSONResponse({"error": error.sentence}, error.status)

    async def on_error(request: Request, error: Exception) -> Response:  # which the server then tells on its terminal
        return JSONResponse({"error": "The server failed; its terminal says why."}, 500)

    async def on_http(request: Request, error: Any) -> Response:
        return JSONResponse({"error": f"{error.detail}."}, error.status_code, error.headers)

    routes = [Route("/", show, methods=["GET"]), Route("/read", on_read, methods=["POST"])]
    if corrections is not None:
        routes.append(Route("/correct", on_correct, methods=["POST"]))
    handlers: Any = {Refusal: on_refusal, HTTPException: on_http, Exception: on_error}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, port, refusal, HEADERS)


def told(status: int, f: Any, *arguments: Any) -> Any:
    """f(*arguments), its errors as a Refusal that says what and what to do, but no path. Errors: Refusal."""
    try:
        return f(*arguments)
    except TinynnError as error:
        raise Refusal(status, f"{error.what[:1].upper()}{error.what[1:]}: {error.fix}.") from error


def text_of(array: np.ndarray) -> str:
    """The array's bytes, little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()).decode()
