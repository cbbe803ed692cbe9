"""`fit(..., report=)`: a page that stands alone, says what the run did, and never costs it."""

from __future__ import annotations

import base64
import io
import math
import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from checkpoint_helpers import T, X, network, outcome, trained
from data_helpers import assert_complete
from explain_helpers import Locked, Odd, Reader
from matplotlib.image import imread

from tinynn import (
    SGD,
    Add,
    Affine,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Graph,
    History,
    Layer,
    MeanSquaredError,
    MissingExtraError,
    NonFiniteError,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    StateError,
    fit,
)
from tinynn.network.sources import Source
from tinynn.testing import FakeDevice
from tinynn.training import report as module
from tinynn.training.examples import checked
from tinynn.training.mistakes import mistakes
from tinynn.training.order import order_of

RNG = np.random.default_rng(6)
IMAGES = RNG.integers(0, 256, (60, 8, 8)).astype(np.uint8)
LABELS = RNG.integers(0, 3, 60)
DATA = {"validation": (X[:20], T[:20])}


def reads(*layers: Layer, **options: Any) -> Sequential:
    """A network that reads small images."""
    return Sequential(*layers, Affine(6), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((8, 8), seed=1, **options)


class Page(Reader):
    """What stands on a page: its text, sections, pictures; it brings all that it shows, and runs nothing."""

    def __init__(self, path: Path) -> None:
        self.html = path.read_text(encoding="utf-8")
        self.sections: dict[str, str] = {}
        self.images: dict[str, bytes] = {}
        self.widths: dict[str, int] = {}
        self.meta: dict[str, str] = {}
        self.title = ""
        super().__init__(self.html)
        assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(self.tags)
        assert not re.search(r"(https?:)?//", re.sub(r'"data:[^"]*"', "", self.html))
        assert not re.search(r"""\bon\w+\s*=\s*["']""", re.sub(r"<td.*?</td>", "", self.html))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        super().handle_starttag(tag, attrs)
        held = dict(attrs)
        if tag == "img":
            kind, _, data = held["src"].partition(";base64,")
            assert kind in ("data:image/png", "data:image/svg+xml")
            self.images[held["alt"]] = base64.b64decode(data, validate=True)
            self.widths[held["alt"]] = int(held["width"])
        elif tag == "meta":
            self.meta[held.get("http-equiv", held.get("name", ""))] = held.get("content", "")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if self.open[-1:] == ["h2"]:
            self.sections[data] = ""
        elif self.sections and self.open[-1:] != ["style"]:
            self.sections[[*self.sections][-1]] += f"{data}\n"
        if self.open[-1:] == ["title"]:
            self.title = data


# --- what is on it


def test_a_run_on_images_has_all_sections(tmp_path: Path) -> None:
    path, net = tmp_path / "new" / "run.html", reads(Dropout(0.1))
    by = SGD(0.05, momentum=0.9)
    history = fit(net, by, (IMAGES, LABELS), epochs=4, batch_size=16, validation=(IMAGES[:50], LABELS[:50]),
                  seed=7, progress=False, report=path)  # fmt: skip
    page = Page(path)
    assert page.title == "run: 4 of 4 epochs"
    assert "All epochs are done." in page.text
    assert [*page.sections] == [
        "Learning curves",
        "Epochs",
        "Mistakes in the validation data",
        "First weights",
        "The last batch",
        "Settings",
        "Network",
    ]
    assert [*page.images] == [
        "loss and accuracy against the epoch",
        "confusion matrix of the validation data",
        "misread images of the validation data",
        "weights as images",
    ]
    for data in page.images.values():
        assert data.startswith((b"\x89PNG", b"<?xml"))
        assert b"<image" not in data or b'xlink:href="data:' in data
    inches = [imread(io.BytesIO(page.images[name])).shape[1] / 150 for name in [*page.images][2:]]
    assert [page.widths[name] for name in [*page.images][2:]] == [pytest.approx(96 * inch, abs=1) for inch in inches]
    best = int(np.argmin(history.validation_loss))
    for told in (
        f"{best + 1}",
        f"{history.validation_loss[best]:.4g}",
        f"{100 * history.validation_accuracy[best]:.2f} %",
    ):
        assert told in page.text.splitlines()
    rows = re.findall(r'<tr( class="best")?><td>(\d+)</td><td>([^<]*)</td>', page.html)
    assert [(int(epoch), loss) for _, epoch, loss in rows] == [(i + 1, f"{v:.4g}") for i, v in enumerate(history.loss)]
    assert [bool(look) for look, *_ in rows] == [i == best for i in range(4)]
    settings = page.sections["Settings"].splitlines()
    held = dict(zip(settings[::2], settings[1::2], strict=False))
    assert held["optimizer"] == repr(by)
    told = (held["epochs"], held["rows"], held["batch size"], held["seed"], held["seed of the network"])
    assert told == ("4", "60", "16", "7", "1")
    assert (held["dtype"], held["backend"], held["NumPy"]) == ("float32", "numpy", np.__version__)
    assert net.summary().splitlines()[-1] in page.sections["Network"]
    assert "refresh" not in page.meta
    assert page.meta["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_last_batch_is_that_of_the_latest_epoch(tmp_path: Path) -> None:
    net, by = network(), SGD(0.1)
    trained(net, by, epochs=3, report=tmp_path / "run.html")
    rows = order_of(5, 2, 67)[63:67]  # 67 rows, seven a step: the last batch has four
    told = net.explain(X[rows], T[rows], optimizer=by)
    said = Page(tmp_path / "run.html").sections["The last batch"]
    assert told.rows == 4
    assert told.title in said.splitlines()
    assert f"{told.layers[0].mean:.3g}" in said.splitlines()


def test_the_last_batch_is_that_of_an_order_of_ones_own(tmp_path: Path) -> None:
    asked: list[int] = []

    def order(epoch: int) -> Any:
        asked.append(epoch)
        return np.roll(np.arange(67), 10 * len(asked))  # another one whenever it is asked

    net, by, path = network(), SGD(0.1), tmp_path / "run.html"
    trained(net, by, epochs=3, order=order, report=path, checkpoint=tmp_path / "run")
    assert asked == [0, 1, 2]  # as often as without a report
    rows = np.roll(np.arange(67), 30)[63:67]
    told = net.explain(X[rows], T[rows], optimizer=by)
    assert told.title in Page(path).sections["The last batch"].splitlines()
    trained(net, by, epochs=3, order=order, report=path, checkpoint=tmp_path / "run", resume=True)
    assert asked == [0, 1, 2]  # no epoch is left, so there is no last batch
    assert [*Page(path).sections] == ["Learning curves", "Epochs", "Settings", "Network"]


def test_without_validation_images_or_classes_there_is_less(tmp_path: Path) -> None:
    path = tmp_path / "run.htm"
    history = trained(network(), epochs=2, report=path)
    page = Page(path)
    assert [*page.sections] == ["Learning curves", "Epochs", "The last batch", "Settings", "Network"]
    assert f"{min(history.loss):.4g}" in page.text.splitlines()
    trained(network(), epochs=1, report=path, **DATA)
    assert [*Page(path).images][1:] == ["confusion matrix of the validation data"]  # rows of 5 numbers are no images
    net = Sequential(Affine(2), MeanSquaredError()).build((5,))
    values = RNG.standard_normal((67, 2)).astype(np.float32)
    fit(net, SGD(0.01), (X, values), epochs=1, validation=(X, values), progress=False, report=path)
    page = Page(path)
    assert "Mistakes in the validation data" not in page.sections
    assert "accuracy" not in page.sections["Epochs"]


def test_weights_that_are_no_images_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    layers = Conv2D(70, 2), ReLU(), Affine(3), SoftmaxCrossEntropy()
    net = Sequential(*layers).build((1, 8, 8))
    fit(net, SGD(0.01), (IMAGES[:, None], LABELS), epochs=1, progress=False, report=path)
    assert "First weights" in Page(path).sections
    odd = Graph(h=(Affine(50), "x"), y=(Affine(3), "h"), loss=(SoftmaxCrossEntropy(), "y", "t")).build((8, 8))
    odd.layers["h"].__dict__["_site"].declared.pop("W")  # as if its weights had another name
    fit(odd, SGD(0.01), (IMAGES, LABELS), epochs=1, progress=False, report=path)
    assert "First weights" not in Page(path).sections


def test_all_right_needs_no_pictures_of_the_wrong(tmp_path: Path) -> None:
    net = Sequential(Affine(2, W=np.zeros((64, 2)), b=np.array([9.0, 0])), SoftmaxCrossEntropy()).build((8, 8))
    zeros = np.zeros(60, int)
    fit(net, SGD(1e-6), (IMAGES / 255, zeros), epochs=1, validation=(IMAGES / 255, zeros), progress=False,
        report=tmp_path / "run.html")  # fmt: skip
    images = Page(tmp_path / "run.html").images
    assert "confusion matrix of the validation data" in images
    assert "misread images of the validation data" not in images


def test_a_hundred_classes_are_too_many_for_one_matrix(tmp_path: Path) -> None:
    net = Sequential(Affine(101), SoftmaxCrossEntropy()).build((8, 8))
    data = IMAGES, np.arange(60)
    fit(net, SGD(0.1), data, epochs=1, validation=data, progress=False, report=tmp_path / "run.html")
    images = Page(tmp_path / "run.html").images
    assert "confusion matrix of the validation data" not in images
    assert "misread images of the validation data" in images


def test_what_names_hold_is_text(tmp_path: Path) -> None:
    class Named(SGD):
        def __repr__(self) -> str:
            return "<img src=x onerror=alert(1)>"

    path = tmp_path / "<script>alert(2)&.html"
    net = Sequential(Odd("</pre><script>alert(3)</script>"), Affine(3), SoftmaxCrossEntropy()).build((5,))
    fit(net, Named(0.1), (X, T), epochs=1, progress=False, report=path)
    page = Page(path)
    assert "<script>" not in page.html
    assert page.title.startswith("<script>alert(2)&: 1 of 1")
    for name in ("y = <script>alert(1)</script>", "</pre><script>alert(3)</script>", "<img src=x onerror=alert(1)>"):
        assert name in page.text
    assert page.images.keys() == {"loss and accuracy against the epoch"}


# --- when it is written


def test_one_can_watch_the_run(tmp_path: Path) -> None:
    path, seen = tmp_path / "run.html", []
    trained(network(), epochs=3, report=path, callbacks=[lambda history: seen.append((Page(path), len(history)))])
    assert len(seen[0][0].sections) == 2  # there before the first step: settings and network
    for page, _ in seen:
        assert page.meta["refresh"] == "5"
        assert "runs." in page.text
    assert "refresh" not in Page(path).meta


def test_it_is_written_after_each_epoch_unless_that_would_hold_up_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(module.Report, "write", lambda self, words, **how: said.append(words))
    monkeypatch.setattr(module, "SHARE", 0.0)
    trained(network(), epochs=3, report=tmp_path / "run.html")
    every = ["The first epoch runs.", "Epoch 2 runs.", "Epoch 3 runs.", "Epoch 4 runs.", "All epochs are done."]
    assert said == every
    said.clear()
    monkeypatch.setattr(module, "SHARE", 1e9)
    trained(network(), epochs=5, report=tmp_path / "run.html")
    assert said == [*every[:2], every[-1]]


class Interrupted(SGD):
    """SGD that meets Ctrl-C in one of its steps."""

    def __init__(self, at: int) -> None:
        super().__init__(0.1)
        self.at, self.taken = at, 0

    def step(self, net: Any) -> None:
        self.taken += 1
        if self.taken == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        super().step(net)


def test_an_interrupted_run_has_its_page(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    history = trained(network(), Interrupted(25), report=path)
    assert (history.stopped, len(history)) == ("interrupted", 2)
    page = Page(path)
    assert page.title == "run: 2 of 20 epochs"
    assert "Interrupted. The network keeps what it has learned." in page.text
    assert f"{history.loss[1]:.4g}" in page.sections["Epochs"].splitlines()
    trained(network(), Interrupted(3), report=path)
    page = Page(path)
    assert page.title == "run: 0 of 20 epochs"
    assert [*page.sections] == ["Settings", "Network"]


def test_a_run_that_ends_early_and_one_that_a_callback_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    net = network()
    history = trained(net, SGD(0.5), report=path, patience=1, epochs=200, **DATA)
    assert history.stopped == "early"
    page = Page(path)
    assert "Stopped early" in page.text
    assert "patience" in page.sections["Settings"].splitlines()
    best = int(np.argmin(history.validation_loss))  # and the network is the one of that epoch
    assert net.evaluate(X[:20], T[:20]).loss == history.validation_loss[best]
    right = round(20 * history.validation_accuracy[best])
    assert f"{right} of 20 right".encode() in page.images["confusion matrix of the validation data"]
    trained(network(), epochs=9, report=path, callbacks=[lambda h: len(h) == 2])
    assert "Stopped by a callback." in Page(path).text


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    path = tmp_path / "run.html"

    def breaks(history: History) -> None:
        if len(history) == 2:
            raise KeyError("<no such thing>")

    with pytest.raises(KeyError):
        trained(network(), report=path, callbacks=[breaks])
    page = Page(path)
    assert page.title == "run: 2 of 20 epochs"
    assert "The run has failed." in page.text
    assert page.sections["What went wrong"].strip() == "KeyError: '<no such thing>'"
    with pytest.raises(StateError) as caught:
        trained(network(), SGD(1e30), report=path)
    assert str(caught.value) in Page(path).sections["What went wrong"]
    assert isinstance(caught.value, NonFiniteError)


def test_a_run_that_goes_on_has_all_its_epochs_on_the_page(tmp_path: Path) -> None:
    path, run = tmp_path / "run.html", tmp_path / "run"
    first = trained(network(), epochs=2, checkpoint=run, report=path)
    second = trained(network(), epochs=4, checkpoint=run, resume=True, report=path)
    assert len(second) == 4
    page = Page(path)
    assert page.title == "run: 4 of 4 epochs"
    assert f"{first.loss[0]:.4g}" in page.sections["Epochs"].splitlines()
    again = trained(network(), epochs=6, checkpoint=run, resume=True, report=path, **DATA)
    page = Page(path)
    rows = re.findall(r"<tr[^>]*>((?:<td>[^<]*</td>)+)</tr>", page.html.partition("Epochs</h2>")[2])
    cells = [re.findall(r"<td>([^<]*)</td>", row) for row in rows[:6]]
    assert [len(row) for row in cells] == [6] * 6
    assert [row[3] for row in cells] == [""] * 4 + [f"{value:.4g}" for value in again.validation_loss]
    best = 4 + int(np.argmin(again.validation_loss))
    assert f"{best + 1}" in page.text.splitlines()


# --- it costs nothing


@pytest.mark.parametrize("backend", ["numpy", "fake", "llvm"])
def test_the_run_is_the_same_to_the_bit(backend: str, tmp_path: Path) -> None:
    def run(**options: Any) -> str:
        net = network(FakeDevice() if backend == "fake" else backend)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = trained(net, epochs=4, **DATA, **options)
        made = net.storage.arrays()
        return outcome(net, history) if made else ""

    assert run() == run(report=tmp_path / "run.html")
    assert Page(tmp_path / "run.html").title == "run: 4 of 4 epochs"


def test_without_a_report_nothing_is_loaded_for_it() -> None:
    script = """
import sys
before = set(sys.modules)
import numpy as np
from tinynn import SGD, Affine, Sequential, SoftmaxCrossEntropy, fit
net = Sequential(Affine(3), SoftmaxCrossEntropy()).build((5,))
fit(net, SGD(0.1), (np.ones((20, 5)), np.zeros(20, int)), epochs=2, progress=False)
assert not {"matplotlib", "tinynn.training.report", "tinynn.pictures", "html"} & (set(sys.modules) - before)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("run.txt", ConfigurationError, "HTML page"),
        ("run", ConfigurationError, "HTML page"),
        (3, ConfigurationError, "HTML page"),
        (True, ConfigurationError, "HTML page"),
        ("file/run.html", DataError, "a file has its name"),
        ("folder.html", DataError, "it is a folder"),
        ("a\0.html", DataError, "ordinary characters"),
    ],
)
def test_an_impossible_path_is_refused_before_the_first_step(name: Any, kind: Any, says: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.html").mkdir()
    net = network()
    before = net.storage.params.tobytes()
    with pytest.raises(kind, match=says) as caught:
        trained(net, report=tmp_path / name if isinstance(name, str) else name)
    assert_complete(caught.value)
    assert net.storage.params.tobytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.html"]


def test_without_matplotlib_the_extra_is_named_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    net = network()
    before = net.storage.params.tobytes()
    with pytest.raises(MissingExtraError, match=r"tinynn-xp\[plot\]"):
        trained(net, report=tmp_path / "run.html")
    assert net.storage.params.tobytes() == before
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fails_later_costs_one_warning_and_the_last_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARE", 0.0)
    path, net, plain = tmp_path / "new" / "run.html", network(), network()
    pages: list[bytes] = []

    def fill(history: History) -> None:
        if len(history) == 2:
            pages.append(path.read_bytes())
            path.parent.rename(tmp_path / "gone")

    with pytest.warns(RuntimeWarning, match="could not be written") as caught:
        history = trained(net, epochs=5, report=path, callbacks=[fill])
    assert len([warning for warning in caught if "report" in str(warning.message)]) == 1
    assert outcome(net, history) == outcome(plain, trained(plain, epochs=5))
    assert [file.name for file in (tmp_path / "gone").iterdir()] == ["run.html"]
    assert (tmp_path / "gone" / "run.html").read_bytes() == pages[0]


def test_a_page_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, net = tmp_path / "run.html", network()
    trained(net, epochs=2, report=path)
    before = path.read_bytes()
    written = Path.replace

    def fails(self: Path, target: Any) -> Any:
        if Path(target) == path and self.stat().st_size > 20_000:  # the first page, before any epoch, is smaller
            raise OSError(28, "No space left on device")
        return written(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.warns(RuntimeWarning, match="the disk is full"):
        trained(network(), epochs=2, report=path)
    assert len(before) > 20_000
    assert Page(path).title == "run: 0 of 2 epochs"
    assert [file.name for file in tmp_path.iterdir()] == ["run.html"]


def test_what_cannot_be_drawn_is_left_out_with_one_warning(tmp_path: Path) -> None:
    net = Sequential(Affine(4), Locked(), Affine(3), SoftmaxCrossEntropy()).build((5,))
    with pytest.warns(RuntimeWarning, match=r"drawn in full \(last_batch\): the step is made on a copy") as caught:
        fit(net, SGD(0.1), (X, T), epochs=3, progress=False, report=tmp_path / "run.html")
    assert len(caught) == 1
    page = Page(tmp_path / "run.html")
    assert page.title == "run: 3 of 3 epochs"
    assert "The last batch" not in page.sections
    assert "Epochs" in page.sections


def test_an_optimizer_of_ones_own_is_not_asked_for_a_step_more(tmp_path: Path) -> None:
    class Counts:
        """W <- W - 0.1 dW, counted, in all copies of it."""

        steps: ClassVar[list[int]] = []

        def step(self, net: Any) -> None:
            self.steps.append(1)
            net.storage.params[...] -= 0.1 * net.storage.grads

    trained(network(), Counts(), epochs=2, report=tmp_path / "run.html")
    assert len(Counts.steps) == 20
    assert "|dW|" in Page(tmp_path / "run.html").sections["The last batch"]


def test_losses_that_are_all_nan_have_no_best(tmp_path: Path) -> None:
    class Silent(Sequential):
        def evaluate(self, *data: Any, batch_size: int = 1024) -> Any:
            return super().evaluate(*data)._replace(loss=math.nan)

    net = Silent(Affine(3), SoftmaxCrossEntropy()).build((5,))
    fit(net, SGD(0.1), (X, T), epochs=2, validation=(X, T), progress=False, report=tmp_path / "run.html")
    page = Page(tmp_path / "run.html")
    assert "best epoch" not in page.text
    assert 'class="best"' not in page.html


# --- mistakes


class Rows:
    """Data that are asked for."""

    def __init__(self, *arrays: Any) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays[0])

    def take(self, rows: Any) -> Any:
        return tuple(array[rows] for array in self.arrays)


@pytest.mark.parametrize("kind", ["arrays", "device", "source", "weighted", "graph"])
def test_mistakes_are_those_of_all_rows(kind: str) -> None:
    images, labels = RNG.integers(0, 256, (2500, 8, 8)).astype(np.uint8), RNG.integers(0, 3, 2500)
    net: Any = reads(backend=FakeDevice() if kind == "device" else "numpy")
    given: tuple[Any, ...] = (images, labels)
    if kind == "graph":
        nodes = {"h": (Affine(3), "x"), "loss": (SoftmaxCrossEntropy(), "h", "t", "w")}
        net = Graph(**nodes).build((8, 8), seed=1)
        given = (images, labels, np.ones(2500))
    elif kind == "weighted":
        given = (images, labels, np.ones(2500))
    net.storage.params *= 0.01  # so that no two rows are as wrong as each other
    data = (Source(net, Rows(*given), "test"),) if kind == "source" else checked(net, given, "validation")
    found = mistakes(net, data, 10_000, 7)
    assert found is not None
    p = np.asarray(net.ops.to_host(net.predict(images)))
    assert found.true.tolist() == labels.tolist()
    assert found.predicted.tolist() == p.argmax(axis=1).tolist()
    wrong = np.flatnonzero(p.argmax(axis=1) != labels)
    lead = p[wrong].max(axis=1) - p[wrong, labels[wrong]]
    worst = wrong[np.argsort(-lead, kind="stable")[:7]]
    assert found.images is not None
    assert len(set((worst // 1024).tolist())) > 1  # they come from several blocks
    np.testing.assert_allclose(found.scores, p[worst], rtol=1e-4, atol=1e-6)
    assert sorted(map(bytes, found.images.astype(np.uint8))) == sorted(map(bytes, images[worst]))
    few = mistakes(net, data, 1000, 7)
    assert few is not None
    assert len(few.true) == 1024  # whole blocks


def test_ignored_labels_are_no_mistakes_and_what_has_no_classes_has_none() -> None:
    ignoring = Sequential(Affine(3), SoftmaxCrossEntropy(ignore=-1)).build((8, 8))
    labels = np.where(np.arange(60) % 2, LABELS, -1)
    found = mistakes(ignoring, checked(ignoring, (IMAGES, labels), "validation"), 100, 5)
    assert found is not None
    assert found.true.tolist() == labels[1::2].tolist()
    nobody = np.full(60, -1)
    assert mistakes(ignoring, checked(ignoring, (IMAGES, nobody), "validation"), 100, 5) is None
    rows = np.eye(3, dtype=np.float32)[LABELS]
    net = reads()
    assert mistakes(net, checked(net, (IMAGES, rows), "validation"), 100, 5) is None
    two = Graph(a=(Affine(3), "x"), b=(Affine(3), "z"), s=(Add(), "a", "b"),
                loss=(SoftmaxCrossEntropy(), "s", "t")).build((8, 8), (5,))  # fmt: skip
    assert mistakes(two, checked(two, (IMAGES, X[:60], LABELS), "validation"), 100, 5) is None
    numbers = Sequential(Affine(3), SoftmaxCrossEntropy()).build((5,))
    found = mistakes(numbers, checked(numbers, (X, T), "validation"), 100, 5)
    assert found is not None
    assert found.images is None
