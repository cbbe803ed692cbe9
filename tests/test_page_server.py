"""The page's application: what it answers to its own page, and how it turns away everybody else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.digitise_vectors import stroke
from tests.page_helpers import reader
from tests.page_requests import HOST, PORT, SENT, Reply, ask, body_of, post
from tinynn import (
    Add,
    Affine,
    ConfigurationError,
    DataError,
    Graph,
    MissingExtraError,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    datasets,
    fit,
)
from tinynn.app.digitise import digitise
from tinynn.app.page.application import application
from tinynn.app.page.corrections import IMAGES, LABELS, Corrections
from tinynn.app.page.requests import LONGEST_BODY
from tinynn.data import read_idx, write_idx
from tinynn.optim import SGD

SEVEN = np.pad(stroke((60, 60), [(0.2, 0.2), (0.8, 0.2), (0.45, 0.85)], 6), 4)
BLANK = np.zeros((20, 20), np.uint8)
PROTECTED = {
    "content-security-policy": "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


def protected(reply: Reply) -> bool:
    told = b"Traceback" in reply.body or b'File "' in reply.body
    return not told and all(value in reply.headers.get(name, "") for name, value in PROTECTED.items())


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return application(reader(), PORT, name="a <reader>", corrections=Corrections(tmp_path / "kept"))


def run(request: Any) -> Any:
    return asyncio.run(request)


# --- its own page


def test_the_page_comes_whole_and_asks_for_nothing_else(app: Any) -> None:
    reply = run(ask(app))
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert protected(reply)
    text = reply.body.decode()
    assert "a &lt;reader&gt; reads your handwriting" in text
    assert text.lower().count("</script>") == 2
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
    assert "src=" not in text
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    head = run(ask(app, "HEAD"))
    assert (head.status, protected(head)) == (200, True)
    assert run(ask(app, headers=[(b"host", b"LOCALHOST:8123"), (b"origin", b"http://localhost:8123")])).status == 200


def test_a_drawing_is_read(app: Any) -> None:
    reply = run(post(app, "/read", body_of(SEVEN)))
    assert (reply.status, protected(reply)) == (200, True)
    said = reply.json
    digit = digitise(SEVEN)
    assert base64.b64decode(said["digit"]) == digit.tobytes()
    expected = reader().predict(digit[None])[0]
    np.testing.assert_allclose(said["outputs"], expected, atol=1e-6)
    assert int(np.argmax(said["outputs"])) == 7
    (layer,) = said["layers"]
    hidden = np.maximum(digit.reshape(784) / 255 @ reader()[1].W + reader()[1].b, 0)
    assert (layer["name"], layer["shape"]) == ("2 ReLU", [100])
    np.testing.assert_allclose(floats(layer["values"]), hidden, rtol=1e-4, atol=1e-5)


def test_a_drawing_that_is_put_right_is_kept_and_can_be_learned_from(app: Any, tmp_path: Path) -> None:
    for i, label in enumerate((7, 1, 7)):
        reply = run(post(app, "/correct", body_of(np.pad(SEVEN, ((i, 0), (0, 0))), label=label)))
        assert (reply.status, reply.json, protected(reply)) == (200, {"kept": i + 1}, True)
    images, labels = (read_idx(tmp_path / "kept" / name) for name in (IMAGES, LABELS))
    assert labels.tolist() == [7, 1, 7]
    assert (images == digitise(SEVEN)).all()
    for test, train in (("t10k-images-idx3-ubyte", IMAGES), ("t10k-labels-idx1-ubyte", LABELS)):
        (tmp_path / "kept" / test).write_bytes((tmp_path / "kept" / train).read_bytes())
    train, _ = datasets.load(tmp_path / "kept")
    assert len(train.images) == 3
    net = Sequential(Affine(10), SoftmaxCrossEntropy()).build((28, 28), seed=0)
    assert len(fit(net, SGD(0.001), (images, labels), epochs=2, progress=False)) == 2


def test_without_a_folder_nothing_can_be_kept() -> None:
    app = application(reader(), PORT)
    assert run(post(app, "/correct", body_of(SEVEN, label=7))).status == 404
    assert '"keeps": false' in run(ask(app)).body.decode()


def test_many_at_once_are_all_kept(app: Any, tmp_path: Path) -> None:
    async def all_of_them() -> list[Reply]:
        posts = [post(app, "/correct", body_of(SEVEN, label=i % 10)) for i in range(24)]
        return list(await asyncio.gather(*posts))

    replies = run(all_of_them())
    assert sorted(reply.json["kept"] for reply in replies) == list(range(1, 25))
    assert np.bincount(read_idx(tmp_path / "kept" / LABELS)).tolist() == [3] * 4 + [2] * 6


# --- everybody else


def sent(*more: tuple[bytes, bytes], without: bytes = b"") -> list[tuple[bytes, bytes]]:
    return [header for header in SENT if header[0] != without] + list(more)


GOOD = body_of(SEVEN)
JSON_OF = json.dumps(GOOD).encode()

HOSTILE: dict[str, tuple[int, dict[str, Any]]] = {
    "no host": (400, {"headers": []}),
    "two hosts": (400, {"headers": [HOST, HOST]}),
    "a name that was made to mean 127.0.0.1": (421, {"headers": [(b"host", b"evil.example:8123")]}),
    "another port": (421, {"headers": [(b"host", b"127.0.0.1:80")]}),
    "a host with more behind it": (421, {"headers": [(b"host", b"127.0.0.1:8123.evil.example")]}),
    "another page that reads": (403, {"headers": [HOST, (b"origin", b"http://evil.example")]}),
    "no origin": (403, {"path": "/read", "headers": sent(without=b"origin")}),
    "another page that sends": (
        403,
        {"path": "/read", "headers": sent((b"origin", b"http://evil.example"), without=b"origin")},
    ),
    "a page of the same name by https": (
        403,
        {"path": "/read", "headers": sent((b"origin", b"https://127.0.0.1:8123"), without=b"origin")},
    ),
    "a page of nobody's": (403, {"path": "/read", "headers": sent((b"origin", b"null"), without=b"origin")}),
    "two origins": (403, {"path": "/read", "headers": sent((b"origin", b"http://127.0.0.1:8123"))}),
    "another site, as the browser says": (403, {"path": "/read", "headers": sent((b"sec-fetch-site", b"same-site"))}),
    "a form": (
        415,
        {"path": "/read", "headers": sent((b"content-type", b"text/plain"), without=b"content-type")},
    ),
    "no content type": (415, {"path": "/read", "headers": sent(without=b"content-type")}),
    "a compressed body": (415, {"path": "/read", "headers": sent((b"content-encoding", b"gzip"))}),
    "a length that is no number": (400, {"path": "/read", "headers": sent((b"content-length", b"-1"))}),
    "two lengths": (
        400,
        {"path": "/read", "headers": sent((b"content-length", b"1"), (b"content-length", b"1"))},
    ),
    "a body that says it is too long": (413, {"path": "/read", "headers": sent((b"content-length", b"1500001"))}),
    "a length of many digits": (413, {"path": "/read", "headers": sent((b"content-length", b"9" * 5000))}),
    "a body without end": (413, {"path": "/read", "chunks": [b" " * 65_536] * 100}),
    "a body that ends early": (400, {"path": "/read", "chunks": [b"{", None]}),
    "nothing": (400, {"path": "/read", "chunks": [b""]}),
    "half of it": (400, {"path": "/read", "chunks": [JSON_OF[: len(JSON_OF) // 2]]}),
    "no JSON": (400, {"path": "/read", "chunks": [b"width=280&height=280"]}),
    "no text": (400, {"path": "/read", "chunks": [b"\xff\xfe\x00"]}),
    "brackets without end": (400, {"path": "/read", "chunks": [b"[" * 200_000]}),
    "a number of many digits": (400, {"path": "/read", "chunks": [b'{"width": ' + b"9" * 10_000 + b"}"]}),
    "not a number": (400, {"path": "/read", "chunks": [b'{"width": NaN}']}),
    "a field twice": (400, {"path": "/read", "chunks": [JSON_OF[:-1] + b', "width": 68}']}),
    "a list": (422, {"path": "/read", "json": [GOOD]}),
    "a field missing": (422, {"path": "/read", "json": {"width": 1, "height": 1}}),
    "a field too many": (422, {"path": "/read", "json": {**GOOD, "__proto__": 1}}),
    "a truth for a number": (422, {"path": "/read", "json": {**GOOD, "width": True}}),
    "a fraction": (422, {"path": "/read", "json": {**GOOD, "width": 68.0}}),
    "no pixels": (422, {"path": "/read", "json": {"width": 0, "height": 0, "pixels": ""}}),
    "negative sides": (422, {"path": "/read", "json": {**GOOD, "width": -68, "height": -68}}),
    "a side too long": (422, {"path": "/read", "json": {**GOOD, "width": 1025}}),
    "pixels that are no base64": (422, {"path": "/read", "json": {**GOOD, "pixels": "<script>"}}),
    "pixels beyond ASCII": (422, {"path": "/read", "json": {**GOOD, "pixels": "ä" * 100}}),
    "pixels as a list": (422, {"path": "/read", "json": {**GOOD, "pixels": [0] * 4624}}),
    "pixels as nothing": (422, {"path": "/read", "json": {**GOOD, "pixels": None}}),
    "too few pixels": (422, {"path": "/read", "json": {**GOOD, "height": 69}}),
    "a blank picture": (422, {"path": "/read", "json": body_of(BLANK)}),
    "a label where none is asked": (422, {"path": "/read", "json": {**GOOD, "label": 7}}),
    "no label": (422, {"path": "/correct", "json": GOOD}),
    "a label that is no class": (422, {"path": "/correct", "json": {**GOOD, "label": 10}}),
    "a label that is text": (422, {"path": "/correct", "json": {**GOOD, "label": "7"}}),
    "a blank picture with a label": (422, {"path": "/correct", "json": body_of(BLANK, label=7)}),
    "a place that is not there": (404, {"path": "/../../etc/passwd", "method": "GET"}),
    "a place with a slash more": (404, {"path": "/read/", "json": GOOD}),
    "a file of the server": (404, {"path": "/page.js", "method": "GET"}),
    "reading by GET": (405, {"path": "/read", "method": "GET"}),
    "sending to the page": (405, {"path": "/", "json": GOOD}),
    "deleting": (405, {"path": "/", "method": "DELETE"}),
    "a method of nobody's": (405, {"path": "/", "method": "BREW"}),
    "a preflight": (405, {"path": "/read", "method": "OPTIONS"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_turned_away(name: str, app: Any, tmp_path: Path) -> None:
    status, how = HOSTILE[name]
    posts = how.get("path", "/") in ("/read", "/correct") or "json" in how
    method = how.get("method", "POST" if posts else "GET")
    chunks = [json.dumps(how["json"]).encode()] if "json" in how else how.get("chunks", [JSON_OF])
    headers = how.get("headers", SENT if method == "POST" else [HOST])
    reply = run(ask(app, method, how.get("path", "/"), headers, chunks))
    assert reply.status == status
    assert protected(reply)
    assert "access-control-allow-origin" not in reply.headers
    assert reply.json.keys() == {"error"}
    assert 10 <= len(reply.json["error"]) < 200
    assert not (tmp_path / "kept" / LABELS).exists()


def test_no_more_is_read_of_a_body_than_it_may_have(app: Any) -> None:
    read = 0

    def chunks() -> Any:
        nonlocal read
        while read < 10 * LONGEST_BODY:
            read += 50_000
            yield b" " * 50_000

    source = chunks()
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": next(source), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/read", "headers": SENT}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 413
    assert read <= LONGEST_BODY + 50_000
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_body_that_does_not_come_is_not_waited_for(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinynn.app.page.guard.BODY_SECONDS", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": "/read", "headers": SENT}, receive, send))
    assert sent[0]["status"] == 408


def test_a_websocket_is_closed(app: Any) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "websocket", "path": "/", "headers": [HOST]}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# --- what goes wrong in the server


def test_an_error_of_the_network_is_told_without_a_trace() -> None:
    class Breaks(ReLU):
        calls = 0

        def predict(self, x: Any) -> Any:
            Breaks.calls += 1
            if Breaks.calls > 2:
                raise RuntimeError("a secret of the server's")
            return super().predict(x)

    net = Sequential(Affine(10), Breaks()).build((28, 28), seed=0)
    app = application(net, PORT)
    Breaks.calls = 2
    with pytest.raises(RuntimeError, match="secret"):  # for the terminal
        run(post(app, "/read", GOOD))
    reply = run(ask(app, "POST", "/read", SENT, [JSON_OF], error=(RuntimeError,)))
    assert (reply.status, protected(reply)) == (500, True)
    assert b"secret" not in reply.body
    assert "terminal" in reply.json["error"]


def test_who_has_left_is_not_answered(app: Any) -> None:
    async def send(message: Any) -> None:
        raise OSError("the connection is gone")

    for path, headers in (("/", [HOST]), ("/nowhere", [HOST]), ("/", [])):
        asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": headers}, None, send))


def test_on_the_port_of_the_web_no_port_is_named() -> None:
    app = application(reader(), 80)
    for host, status in ((b"127.0.0.1", 200), (b"localhost:80", 200), (b"127.0.0.1:8123", 421)):
        assert run(ask(app, headers=[(b"host", host), (b"origin", b"http://127.0.0.1")])).status == status


def test_outputs_that_are_not_finite_are_refused() -> None:
    net = Sequential(Affine(10), ReLU()).build((28, 28), seed=0)
    app = application(net, PORT)
    net[0].W[...] = 3e38
    reply = run(post(app, "/read", GOOD))
    assert (reply.status, protected(reply)) == (422, True)
    assert "not finite" in reply.json["error"]
    net[0].b[...] = np.inf
    with pytest.raises(DataError, match="not finite"):
        application(net, PORT)


def test_what_cannot_be_kept_is_said(app: Any, tmp_path: Path) -> None:
    (tmp_path / "kept" / LABELS).write_bytes(b"damaged")
    reply = run(post(app, "/correct", body_of(SEVEN, label=7)))
    assert (reply.status, protected(reply)) == (409, True)
    assert str(tmp_path) not in reply.json["error"]


# --- which networks


def test_of_a_graph_hidden_layers_are_shown_as_well() -> None:
    net = Graph(
        a=(Affine(8), "x"),
        h=(ReLU(), "a"),
        b=(Residual(Sequential(Affine(8), Sigmoid())), "h"),
        c=(Add(), "h", "b"),
        s=(Affine(10), "c"),
        loss=(SoftmaxCrossEntropy(), "s", "t"),
    ).build((784,), seed=0)
    said = run(post(application(net, PORT), "/read", GOOD)).json
    assert [one["name"] for one in said["layers"]] == ["h ReLU", "b.layer.1 Sigmoid", "b Residual", "c Add"]
    h, inner, b, c = (floats(one["values"]) for one in said["layers"])
    np.testing.assert_allclose(h, np.maximum(digitise(SEVEN).reshape(784) @ net["a"].W + net["a"].b, 0), rtol=1e-4)
    np.testing.assert_array_equal([b, c], [h + inner, h + b])
    expected = net.predict(digitise(SEVEN).reshape(1, 784))[0]
    np.testing.assert_allclose(said["outputs"], expected, atol=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        Sequential(Affine(10)).build((27, 28)),
        Sequential(ReLU()).build((28, 28)),
        Sequential(Affine(37)).build((28, 28)),
        Sequential(Affine(1)).build((28, 28)),
        Graph(a=(Affine(10), "x"), b=(Affine(10), "x")).build((784,)),
        Graph(a=(Affine(10), "x"), b=(Affine(10), "y"), c=(ReLU(), "y")).build((784,), (784,)),
    ],
)
def test_networks_that_read_no_digits_are_refused(net: Any) -> None:
    with pytest.raises(ConfigurationError, match="networks that read digits"):
        application(net, PORT)


def test_without_starlette_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match="serve"):
        application(reader(), PORT)


# --- what is kept


def test_an_image_without_its_label_is_dropped(tmp_path: Path) -> None:
    kept = Corrections(tmp_path)
    digit = digitise(SEVEN)
    assert [kept.add(digit, 7), kept.add(digit, 8)] == [1, 2]
    write_idx(tmp_path / LABELS, np.array([7], np.uint8))  # as after a crash between the two files
    assert len(kept.read().images) == 1
    Corrections(tmp_path)
    assert read_idx(tmp_path / IMAGES).shape == (1, 28, 28)
    (tmp_path / LABELS).unlink()  # as after a crash at the first digit
    assert Corrections(tmp_path).add(digit, 3) == 1
    assert read_idx(tmp_path / LABELS).tolist() == [3]


def test_other_files_are_not_written_over(tmp_path: Path) -> None:
    write_idx(tmp_path / IMAGES, np.zeros((2, 9, 9), np.uint8))
    write_idx(tmp_path / LABELS, np.zeros(2, np.uint8))
    with pytest.raises(DataError, match="no corrections"):
        Corrections(tmp_path)
    write_idx(tmp_path / LABELS, np.zeros(7, np.uint8))
    with pytest.raises(DataError, match="do not belong together"):
        Corrections(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="folder"):
        Corrections(tmp_path / "file")


# --- ten thousand requests of chance

METHODS = ["GET", "POST", "POST", "POST", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""]
PATHS = ["/", "/read", "/read", "/read", "/correct", "/correct", "/READ", "/read/", "//", "/..", "/%00", "*", "/ä"]
VALUES: list[Any] = [None, True, -1, 0, 1, 28, 68, 1e9, 2**70, 0.5, "", "7", "AAAA", "=", "\x00", [], {}, [[]], "ä"]
NAMES = ["width", "height", "pixels", "label", "", "__proto__", "x"]
HEADERS = [
    HOST,
    *SENT,
    (b"host", b"evil.example"),
    (b"origin", b"null"),
    (b"content-type", b"text/html"),
    (b"content-length", b"1e9"),
    (b"content-length", b"100"),
    (b"content-encoding", b"br"),
    (b"transfer-encoding", b"chunked"),
    (b"sec-fetch-site", b"cross-site"),
    (b"x-forwarded-host", b"127.0.0.1:8123"),
    (b"x-http-method-override", b"DELETE"),
    (b"\xff", b"\xfe"),
    (b"cookie", b"a=b;" * 500),
    (b"range", b"bytes=0-1"),
    (b"upgrade", b"websocket"),
    (b"accept", b"\x00"),
]


def by_chance(rng: random.Random) -> tuple[str, str, list[tuple[bytes, bytes]], list[bytes | None]]:
    """A request as the page makes it, with something changed in it, or several things."""
    wild = rng.choice([0.0, 0.1, 0.1, 0.4])

    def some(value: Any, others: Any) -> Any:
        return others() if rng.random() < wild else value

    path = rng.choice(["/read"] * 9 + ["/correct"])
    said: Any = body_of(SEVEN[: rng.randint(10, 30), : rng.randint(10, 60)])
    if some(path == "/correct", lambda: rng.random() < 0.5):
        said["label"] = some(7, lambda: rng.randint(-1, 11))
    said |= some({}, lambda: {rng.choice(NAMES): rng.choice(VALUES)})
    body = bytearray(json.dumps(said).encode())
    for _ in range(some(0, lambda: rng.choice([1, 5]))):
        body[rng.randrange(len(body))] = rng.randrange(256)
    body = some(body, lambda: body[: rng.randrange(len(body))])
    body = some(body, lambda: rng.randbytes(rng.randrange(300)))
    cut = rng.randrange(len(body) + 1)
    chunks = [bytes(body[:cut]), some(bytes(body[cut:]), lambda: None)]
    headers = some(SENT, list) + some([], lambda: rng.choices(HEADERS, k=rng.choice([1, 2])))
    return some("POST", lambda: rng.choice(METHODS)), some(path, lambda: rng.choice(PATHS)), headers, chunks


def test_ten_thousand_requests_of_chance_never_break_it(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda number: None)  # the disk's part of the hundreds of digits that are kept
    rng = random.Random(7)
    statuses: Counter[int] = Counter()

    async def all_of_them() -> None:
        for _ in range(10_000):
            method, path, headers, chunks = by_chance(rng)
            reply = await ask(app, method, path, headers, chunks)
            assert 200 <= reply.status < 500, (method, path, headers, chunks)
            assert protected(reply)
            statuses[reply.status] += 1

    asyncio.run(all_of_them())
    assert statuses.total() == 10_000
    for status, least in {200: 1000, 400: 500, 403: 100, 404: 100, 405: 100, 415: 50, 421: 10, 422: 500}.items():
        assert statuses[status] >= least, statuses
