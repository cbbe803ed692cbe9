"""Requests to the page's application, made by hand down to the byte, without a socket."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

__all__ = ["PORT", "Reply", "ask", "body_of", "post"]

PORT = 8123
HOST = (b"host", b"127.0.0.1:8123")
SENT = [
    HOST,
    (b"origin", b"http://127.0.0.1:8123"),
    (b"content-type", b"application/json"),
]


class Reply(NamedTuple):
    """An answer; `json` of one that is JSON."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: Any,
    method: str = "GET",
    path: str = "/",
    headers: Iterable[tuple[bytes, bytes]] = (HOST,),
    chunks: Iterable[bytes | None] = (b"",),
    *,
    error: tuple[type[Exception], ...] = (),
) -> Reply:
    """What the application answers; a chunk that is None is the end of the connection.

    `error`: what the application may raise once it has answered, for the server to tell on its terminal.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", PORT),
    }
    chunks = list(chunks)
    coming = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1}
        for i, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    with suppress(*error):
        await app(scope, receive, send)
    assert [message["type"] for message in sent[:1]] == ["http.response.start"]
    named = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
    assert len(dict(named)) == len(named), "a header twice"
    return Reply(sent[0]["status"], dict(named), b"".join(message.get("body", b"") for message in sent[1:]))


def body_of(image: np.ndarray, **more: Any) -> dict[str, Any]:
    """What the page sends of a picture."""
    height, width = image.shape
    return {"width": width, "height": height, "pixels": base64.b64encode(image.tobytes()).decode(), **more}


async def post(app: Any, path: str, body: Any, headers: Iterable[tuple[bytes, bytes]] = SENT) -> Reply:
    """The answer to a request as the page makes it; `body`: bytes, or what becomes JSON."""
    return await ask(app, "POST", path, headers, [body if isinstance(body, bytes) else json.dumps(body).encode()])
