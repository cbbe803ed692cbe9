"""The page in a browser: digits that are drawn on it are read, by the server and by the page's own JavaScript."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from docs.screenshots import DIGITS, chromium, draw, photograph, served
from tests.digitise_vectors import PATH, read
from tests.page_helpers import reader
from tinynn import (
    Affine,
    AveragePool2D,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigurationError,
    Conv2D,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Huber,
    Identity,
    LeakyReLU,
    MaxPool2D,
    MeanAbsoluteError,
    MeanSquaredError,
    QuadraticCost,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Tanh,
    datasets,
)
from tinynn.app.page import export_html
from tinynn.app.page.document import FILES
from tinynn.app.page.export import KINDS, chain, described
from tinynn.app.page.reader import read as read_digit
from tinynn.data import read_idx

PATIENCE = 300_000  # milliseconds: a browser on a busy machine is slow, which decides nothing


def images() -> tuple[Any, ...]:
    return Rescale(1 / 255), Reshape((1, 28, 28))


NETS = {
    "a number for each pixel": Sequential(
        Rescale(np.linspace(0.001, 0.004, 784).reshape(28, 28), -0.1), Affine(10), Rescale(1.0, np.arange(10.0))
    ),
    "sigmoids": Sequential(Rescale(0.99 / 255, 0.01), Affine(30), Sigmoid(), Affine(10), Sigmoid(), QuadraticCost()),
    "rows of scores": Sequential(Rescale(1 / 255), Affine(40), Reshape((4, 10)), Softmax(), Affine(10)),
    "a chain in a chain": Sequential(
        Rescale(1 / 255), Sequential(Affine(20), BatchNorm(), Tanh()), Dropout(0.5), Affine(5), BinaryCrossEntropy()
    ),
    "convolutions": Sequential(
        *images(), Conv2D(6, 5), BatchNorm(), ReLU(), MaxPool2D(2), Conv2D(8, 3, padding="same"), LeakyReLU(0.2),
        AveragePool2D(3, 2, padding=1), Flatten(), Affine(10), SoftmaxCrossEntropy(),
    ),
    "odd windows": Sequential(
        *images(), Conv2D(6, (3, 4), stride=(2, 1), padding=((0, 2), (1, 0)), dilation=(1, 2)),
        Conv2D(4, 3, groups=2), MaxPool2D((2, 3), (3, 2), padding=(1, 1), dilation=(2, 1), ceil_mode=True), Identity(),
        AveragePool2D(2, ceil_mode=True, padding=1, count_include_pad=True), Affine(7), MeanSquaredError(),
    ),
    "global means": Sequential(*images(), Conv2D(12, 7, stride=3), Tanh(), GlobalAveragePool(), Affine(3), Huber()),
    "global maxima": Sequential(*images(), Conv2D(9, 5, stride=2), GlobalMaxPool(), MeanAbsoluteError()),
}  # fmt: skip


def built(name: str) -> Sequential:
    """The network with parameters and running means as if it had learned."""
    net = NETS[name].build((28, 28), seed=3)
    rng = np.random.default_rng(4)
    for layer in chain(net):
        for array in ("b", "gamma", "beta", "mean"):
            if array in layer._built().bound:
                bound = layer._built().bound[array]
                bound[...] = rng.uniform(0.1, 0.6, bound.shape)
    return net


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    opened = chromium()
    try:
        one = opened.__enter__()
    except ConfigurationError as error:
        pytest.skip(f"{error.what}: {error.got}")
    try:
        yield one
    finally:
        opened.__exit__(None, None, None)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that has no network but the server's, and on which nothing goes wrong unseen."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    yield page
    page.close()
    assert wrong == []


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_html(reader(), tmp_path_factory.mktemp("page") / "reader.html", name="</script><b>&$title")


# --- drawn digits


def test_digits_drawn_on_the_served_page_are_read(page: Any, tmp_path: Path) -> None:
    with served(reader(), corrections=tmp_path / "kept", name="</script><b>&$title") as address:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        assert page.inner_text("#name") == "</script><b>&$title"
        assert [int(draw(page, digit)) for digit in DIGITS] == list(DIGITS)
        assert page.locator("#layers figcaption").inner_text() == "Layer 2 ReLU, 100 numbers"
        assert page.locator("#bars .best .value").inner_text().endswith("%")
        page.click("#labels button:text('4')")
        page.wait_for_selector("#kept.good")
        assert page.inner_text("#kept") == "Thank you. 1 digit is kept."
        assert page.locator("#labels button:enabled").count() == 0
        assert page.locator("#downloads a").count() == 0
        assert set(requests) <= {address, f"{address}read", f"{address}correct"}
    assert read_idx(tmp_path / "kept" / "train-labels-idx1-ubyte").tolist() == [4]


def test_a_server_that_is_gone_is_told(browser: Any) -> None:
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    with served(reader()) as address:
        page.goto(address)
    page.click("#pad")
    page.wait_for_selector("#kept.bad")
    assert "does not answer" in page.inner_text("#kept")
    page.close()


def test_digits_drawn_on_the_file_are_read_without_a_server(page: Any, exported: Path) -> None:
    page.context.set_offline(True)
    page.goto(exported.as_uri())
    assert page.inner_text("#name") == page.inner_text("header strong") == "</script><b>&$title"
    assert [int(draw(page, digit)) for digit in DIGITS] == list(DIGITS)
    for label in (9, 3):
        draw(page, 9)
        page.keyboard.press(str(label))
        page.wait_for_selector("#kept.good")
    assert page.inner_text("#kept") == "Thank you. 2 digits are kept."
    for name, shape in (("images", (2, 28, 28)), ("labels", (2,))):
        with page.expect_download() as download:
            page.click(f"#downloads a:has-text('{name}')")
        kept = read_idx(download.value.path())
        assert kept.shape == shape
        assert download.value.suggested_filename == f"train-{name}-idx{len(shape)}-ubyte"
    assert kept.tolist() == [9, 3]


def test_classes_are_called_by_their_names(page: Any, tmp_path: Path) -> None:
    net = copy.deepcopy(reader())
    names = ["zero", "a very long name of a class, which is cut where there is no room for it", *"23456789"]
    net.metadata = {"classes": names}
    page.goto(export_html(net, tmp_path / "names.html").as_uri())
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it is wider than the phone"
    for digit, key in ((0, "7"), (7, "2")):
        assert draw(page, digit) == names[digit]
        page.keyboard.press(key)
        page.wait_for_selector("#kept.good")
    assert page.locator("#bars .name").all_inner_texts() == page.locator("#labels button").all_inner_texts() == names
    draw(page, 1)
    page.click("#labels button:text('zero')")
    page.wait_for_selector("#kept.good")
    with page.expect_download() as download:
        page.click("#downloads a:has-text('labels')")
    assert read_idx(download.value.path()).tolist() == [7, 2, 0]


def test_by_keyboard_and_by_touch(browser: Any, exported: Path) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, has_touch=True, color_scheme="dark")
    page.set_default_timeout(PATIENCE)
    page.goto(exported.as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "it is wider than the phone"
    page.focus("#pad")
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    for _ in range(22):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("body[data-state=read]")
    assert page.inner_text("#answer") == "1"
    page.keyboard.press("Control+z")
    page.wait_for_selector("body[data-state=empty]")
    assert page.inner_text("#answer") == "?"
    box = page.locator("#pad").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("body[data-state=read]")
    assert page.is_enabled("#undo")
    page.keyboard.press("Delete")
    page.wait_for_selector("body[data-state=empty]")
    assert page.is_disabled("#undo")
    page.close()


def test_the_parts_have_names(page: Any, exported: Path) -> None:
    page.goto(exported.as_uri())
    draw(page, 3)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, canvas, a, section, [role=group]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim()))
          .map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.evaluate("() => document.documentElement.lang") == "en"
    assert page.evaluate("() => document.querySelectorAll('h1').length") == 1


CONTRAST = """() => {
  const channel = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (css) => css.match(/[\\d.]+/g).slice(0, 3).map(Number).map(channel)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && !e.disabled && !["SCRIPT", "STYLE"].includes(e.tagName))
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((p, q) => q - p);
      return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(browser: Any, exported: Path, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.goto(exported.as_uri())
    draw(page, 3)
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 30
    assert [entry for entry in ratios if entry[0] < 4.5] == []  # what WCAG asks for in its level AA
    page.close()


def test_the_pictures_can_be_taken_again(browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(reader()) as address:
        photograph(browser, address, tmp_path, (2, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page-dark.png", "page-light.png", "page-phone.png"]
    assert "read: 2 of 2: 2 4" in capsys.readouterr().out


# --- the same numbers in Python and in JavaScript

VECTORS = """(vectors) => vectors.map(({ width, height, pixels }) => {
  const digit = digitise({ width, height, pixels: Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0)) });
  return digit && Array.from(digit);
})"""

FORWARD = """([layers, digits]) => {
  const run = network(layers);
  return digits.map((digit) => {
    const { outputs, layers } = run(digit);
    return { outputs, layers: layers.map(({ name, shape, values }) => ({ name, shape, values: Array.from(values) })) };
  });
}"""


def in_node(function: str, argument: Any) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on the PATH; the browser's test asks for the same")
    program = "".join((FILES / name).read_text(encoding="utf-8") for name in ("digitise.js", "network.js"))
    program += f"\nconst given = require('fs').readFileSync(0, 'utf8');\nconst f = {function};\n"
    program += "process.stdout.write(JSON.stringify(f(JSON.parse(given))));"
    done = subprocess.run(
        [node, "-e", program], input=json.dumps(argument), capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def in_browser(browser: Any, exported: Path) -> Iterator[Any]:
    context = browser.new_context(bypass_csp=True)  # which has no program evaluated, this test's either
    page = context.new_page()
    page.goto(exported.as_uri())
    yield page.evaluate
    context.close()


def check_vectors(found: list[Any]) -> None:
    expected = read()
    assert len(found) == len(expected)
    for digit, one in zip(found, expected, strict=True):
        assert digit == (None if one["digit"] is None else one["digit"].reshape(-1).tolist()), one["name"]


def check_forward(name: str, run: Any) -> None:
    net, digits = built(name), datasets.mnist(download=False).test.images[:12]
    found = run(FORWARD, [described(net), digits.reshape(12, 784).tolist()])
    np.testing.assert_allclose([one["outputs"] for one in found], net.predict(digits), atol=1e-5, rtol=1e-5)
    for one, digit in zip(found, digits, strict=True):
        expected = read_digit(net, digit).layers
        assert [(layer["name"], tuple(layer["shape"])) for layer in one["layers"]] == [
            (layer.name, layer.values.shape) for layer in expected
        ]
        for layer, (_, values) in zip(one["layers"], expected, strict=True):
            np.testing.assert_allclose(layer["values"], values.reshape(-1), atol=1e-5, rtol=1e-5)


def test_every_layer_that_is_exported_is_in_a_network_here() -> None:
    assert {type(layer) for net in NETS.values() for layer in chain(net)} == KINDS.keys()


def test_digitise_in_the_browser_gives_the_vectors(in_browser: Any) -> None:
    check_vectors(in_browser(VECTORS, json.loads(PATH.read_text(encoding="utf-8"))))


def test_digitise_in_node_gives_the_vectors() -> None:
    check_vectors(in_node(VECTORS, json.loads(PATH.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", NETS)
def test_the_browser_computes_what_the_network_does(name: str, in_browser: Any) -> None:
    check_forward(name, in_browser)


@pytest.mark.parametrize("name", NETS)
def test_node_computes_what_the_network_does(name: str) -> None:
    check_forward(name, in_node)
