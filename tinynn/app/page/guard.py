"""Who may ask the page's server, and how much: every request goes through here before anybody reads it.

A server on 127.0.0.1 can be reached by every page that the browser shows: such a page may send requests, and one whose
name is made to mean 127.0.0.1 may read the answers ("DNS rebinding"). So a request has to name this server by an
address of this machine's own (Host), and what is sent to it has to come from its own page (Origin). Bodies are counted
while they come, and have to come within some seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from tinynn.app.page.requests import LONGEST_BODY, Refusal

__all__ = ["Guard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

BODY_SECONDS = 20.0


class Gone(Exception):
    """Who asked has left, or broke off in the middle of the request: there is nobody to be answered."""


class Guard:
    """An ASGI application around another one. `port`: the server's own, which Host and Origin have to name.

    `refusal(refused)` is the application that answers a request that is turned away; `headers` come with every answer.
    """

    def __init__(self, app: App, port: int, refusal: Callable[[Refusal], App], headers: dict[str, str]) -> None:
        self.app = app
        self.refusal = refusal
        self.hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
        self.hosts |= {b"127.0.0.1", b"localhost"} if port == 80 else set()  # browsers leave this port out
        self.origins = {b"http://" + host for host in self.hosts}
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":  # a websocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in self.headers}
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
                message = {**message, "headers": [*kept, *self.headers]}
            try:
                await send(message)
            except Exception as error:
                raise Gone from error

        with suppress(Gone):
            try:
                self.look(scope)
                body = await self.body(receive) if scope["method"] == "POST" else b""
            except Refusal as refused:
                await self.refusal(refused)(scope, receive, guarded)
            else:
                await self.app(scope, replayed(body), guarded)

    def look(self, scope: Any) -> None:
        """Looks at what a request says of itself. Errors: Refusal."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]

        def all_of(name: bytes) -> list[bytes]:
            return [value.strip() for key, value in headers if key.lower() == name]

        host, origin = all_of(b"host"), all_of(b"origin")
        if len(host) != 1:
            raise Refusal(400, "A request names one host.")
        if host[0].lower() not in self.hosts:
            raise Refusal(421, "This server is for its own machine alone.")
        if any(one not in self.origins for one in origin):
            raise Refusal(403, "Another page may not ask this server.")
        if scope["method"] != "POST":
            return
        if len(origin) != 1 or any(one != b"same-origin" for one in all_of(b"sec-fetch-site")):
            raise Refusal(403, "Only the server's own page may send to it.")
        kind = all_of(b"content-type")
        if len(kind) != 1 or kind[0].lower().replace(b" ", b"") not in JSON:
            raise Refusal(415, "The body has to be application/json.")
        if any(one.lower() != b"identity" for one in all_of(b"content-encoding")):
            raise Refusal(415, "The body may not be compressed.")
        length = all_of(b"content-length")
        if len(length) > 1 or any(not one.isdigit() for one in length):
            raise Refusal(400, "The length of the body is no number.")
        if any(len(one) > 18 or int(one) > LONGEST_BODY for one in length):
            raise Refusal(413, f"The body may have {LONGEST_BODY} bytes.")

    async def body(self, receive: Receive) -> bytes:
        """The whole body, of which no more is read than it may have. Errors: Refusal."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "The body did not end.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > LONGEST_BODY:
                        raise Refusal(413, f"The body may have {LONGEST_BODY} bytes.")
        except TimeoutError:
            raise Refusal(408, "The body took too long.") from None
        return bytes(body)


JSON = {b"application/json", b"application/json;charset=utf-8"}


def replayed(body: bytes) -> Receive:
    """What hands on a body that was read, and then that nobody listens any more."""
    messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if len(messages) > 1 else messages[0]

    return receive
