"""The page's server: a socket on this machine's own address, uvicorn behind it, and a browser before it."""

from __future__ import annotations

import os
import socket
import threading
import webbrowser
from contextlib import suppress
from typing import Any

from tinynn.app.page.application import application
from tinynn.app.page.corrections import Corrections
from tinynn.checks import whole_number
from tinynn.errors import ConfigurationError, MissingExtraError

__all__ = ["Served", "serve"]

HOST = "127.0.0.1"
LAST_PORT = 65_535


def serve(
    net: Any,
    *,
    port: int = 8000,
    open_browser: bool = True,
    corrections: str | os.PathLike[str] | None = None,
    name: str = "model",
) -> None:
    """Serves a page on which one draws digits and watches the network read them, until Ctrl-C.

    The page is at http://127.0.0.1:`port`/, for this machine alone; port 0 takes one that is free. `corrections`: a
    folder for digits that the user put right, as IDX files like MNIST's; without one the page offers them for download.
    `name`: what the page calls the network.
    Errors: ConfigurationError for a network that does not read 28 x 28 gray values, and for a port that is taken;
    DataError for a folder that cannot be used; MissingExtraError without the packages starlette and uvicorn.
    """
    served = Served(net, port=port, corrections=corrections, name=name)
    print(f"{served.address}  (Ctrl-C ends it)", flush=True)
    if open_browser:
        # Not waited for: a browser in the terminal is open until it is left. Its connection waits until `run` takes it.
        threading.Thread(target=webbrowser.open, args=(served.address,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        served.run()


class Served:
    """A server that holds its port, and answers once `run` is called. Errors: as `serve`."""

    def __init__(
        self,
        net: Any,
        *,
        port: int = 0,
        corrections: str | os.PathLike[str] | None = None,
        name: str = "model",
    ) -> None:
        try:
            import uvicorn
        except ImportError as error:
            raise MissingExtraError("uvicorn", extra="serve", purpose="serving the page") from error
        kept = None if corrections is None else Corrections(corrections)
        self.socket = bound(port)
        try:
            port = self.socket.getsockname()[1]
            app = application(net, port, name=name, corrections=kept)
        except BaseException:
            self.socket.close()
            raise
        self.address = f"http://{HOST}:{port}/"
        self.server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ws="none",
                lifespan="off",
                http="h11",
                loop="asyncio",
            )
        )

    def run(self) -> None:
        """Answers until `stop`, or Ctrl-C in the main thread."""
        try:
            self.server.run(sockets=[self.socket])
        finally:
            self.socket.close()

    def stop(self) -> None:
        """Ends `run`, which may be in another thread."""
        self.server.should_exit = True


def bound(port: int) -> socket.socket:
    """A socket that listens at this port. Errors: ConfigurationError."""
    fix = "another port, or 0 for one that is free"
    number = whole_number(port, "the port", where="serve", fix=fix)
    if not 0 <= number <= LAST_PORT:
        raise ConfigurationError("no such port", where="serve", expected=f"0 to {LAST_PORT}", got=repr(port), fix=fix)
    try:
        return socket.create_server((HOST, number))
    except OSError as error:
        raise ConfigurationError(
            f"the port {number} cannot be used",
            where=f"{HOST}:{number}",
            expected="a port that no other program has",
            got=error.strerror or str(error),
            fix=fix,
        ) from error
