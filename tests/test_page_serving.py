"""The page's server on a socket, and the command that starts it."""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.screenshots import served
from tests.command_helpers import COMMAND, ENVIRONMENT
from tests.page_helpers import reader
from tests.page_requests import body_of
from tinynn import ConfigurationError, DataError, MissingExtraError
from tinynn.app.command import main
from tinynn.app.page import serve, serving
from tinynn.app.page.serving import Served

DOT = np.zeros((40, 40), np.uint8)
DOT[10:30, 18:22] = 255


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(reader()) as address:
        yield int(address.rstrip("/").rpartition(":")[2])


def said_to(port: int, request: bytes) -> bytes:
    """What the server answers to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # so ends a request of which not all was read
            while part := connection.recv(65_536):
                answer += part
    return answer


def test_it_answers_on_this_machine_alone(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    reply = connection.getresponse()
    assert (reply.status, reply.getheader("server")) == (200, None)
    assert b"Draw a digit" in reply.read()
    headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    connection.request("POST", "/read", json.dumps(body_of(DOT)), headers)
    assert np.argmax(json.loads(connection.getresponse().read())["outputs"]) == 1
    connection.close()
    host = f"Host: 127.0.0.1:{port}\r\n"
    for request, status in {
        f"GET / HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n": b"421",
        "GET / HTTP/1.0\r\n\r\n": b"400",
        f"GET /../../../etc/passwd HTTP/1.1\r\n{host}Connection: close\r\n\r\n": b"404",
        "\x16\x03\x01\x02\x00 a greeting of TLS\r\n\r\n": b"400",
        f"POST /read HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello": b"400",
        f"POST /read HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n": b"4",
    }.items():
        answer = said_to(port, request.encode("latin-1"))
        assert answer.split(b" ", 2)[1].startswith(status), (request[:80], answer[:300])
        assert b"Traceback" not in answer
    assert b"200 OK" not in said_to(port, f"GET / HTTP/1.1\r\n{host}X: {'a' * 200_000}\r\n\r\n".encode())


def test_a_port_that_is_taken_is_said(port: int) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        Served(reader(), port=port)
    assert caught.value.where == f"127.0.0.1:{port}"
    for wrong in (-1, 65_536, "http", 0.5):
        with pytest.raises(ConfigurationError):
            Served(reader(), port=wrong)  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_served_leaves_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[socket.socket] = []
    bound = serving.bound
    monkeypatch.setattr(serving, "bound", lambda port: held.append(bound(port)) or held[0])
    with pytest.raises(AttributeError):
        Served(None)
    assert held[0].fileno() == -1
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError):
        Served(reader(), corrections=tmp_path / "file")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match="serve"):
        Served(reader())


def test_serve_opens_the_browser_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr("webbrowser.open", opened.put)

    def run(self: Served) -> None:
        self.socket.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Served, "run", run)
    serve(reader(), port=0, corrections=tmp_path / "kept")
    address = opened.get(timeout=300)
    assert capsys.readouterr().out.startswith(address)
    assert (tmp_path / "kept").is_dir()
    serve(reader(), port=0, open_browser=False)
    assert opened.empty()


def test_the_command_hands_on_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("tinynn.app.page.serve", lambda net, **options: calls.append(options))
    reader().save(tmp_path / "my reader.npz")
    assert main(["serve", str(tmp_path / "my reader.npz")]) == 0
    assert calls.pop() == {"port": 8000, "open_browser": True, "corrections": None, "name": "my reader"}
    arguments = ["--port", "0", "--no-browser", "--corrections", "kept"]
    assert main(["serve", str(tmp_path / "my reader.npz"), *arguments]) == 0
    assert calls.pop() == {"port": 0, "open_browser": False, "corrections": "kept", "name": "my reader"}


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([str(tmp_path / "none.npz")], ["--port", "many", "model.npz"], []):
        assert main(["serve", *arguments]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith("  fix: ")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    reader().save(tmp_path / "model.npz")
    command = [*COMMAND, "serve", str(tmp_path / "model.npz"), "--port", "0", "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[0]
        connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert "Traceback" not in process.stderr.read()
