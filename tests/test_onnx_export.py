"""Networks as ONNX files: what ONNX Runtime makes of them is what `predict` gives, and the file says what is what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_nets import WINDOWS, draw, run_onnx
from planted_bugs.custom import Gain

import tinynn
from tinynn import (
    ELU,
    Add,
    Affine,
    AveragePool2D,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    Huber,
    Identity,
    Layer,
    Loss,
    MaxPool2D,
    MeanSquaredError,
    MissingExtraError,
    NotBuiltError,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Step,
    Tanh,
)
from tinynn.onnx import export, writer
from tinynn.onnx import package as limits
from tinynn.onnx.writing import writers

NETS = 200
ROWS = 10_000
PARTS = 8
CLOSE = 2e-6


def own_error(seed: int, xs: tuple[np.ndarray, ...], y: np.ndarray) -> float:
    """How far float32 itself takes the network from the same one in float64."""
    exact, net = draw(seed, "float64").net, draw(seed).net
    exact.storage.assign(net.storage.arrays(), where="the copy")
    return float(np.abs(exact.predict(*xs) - y).max())


@pytest.mark.parametrize("part", range(PARTS))
def test_onnx_runtime_gives_what_predict_gives(part: int, tmp_path: Path) -> None:
    """200 random networks of all layers, 10,000 rows each: not one names another class, and the outputs are close.

    Close twice: as a whole, |difference| / |outputs| in the 2-norm, for each of the networks; and number by number, in
    units of the largest output but of 1 at least. There a few networks are an exception. A norm over two or three
    numbers that nearly coincide makes 1 / sqrt(eps) = 316 of the last bit of what it reads, so that rounding moves them
    as far from their own values in float64: two programs in float32 can agree no better than that.
    """
    amplified = []
    for seed in range(part, NETS, PARTS):
        drawn = draw(seed)
        xs = drawn.rows(np.random.default_rng(seed), ROWS)
        (got,) = run_onnx(export(drawn.net, tmp_path / "net.onnx"), *xs)
        y = drawn.net.predict(*xs)
        assert got.dtype == y.dtype == np.float32
        assert got.shape == y.shape
        assert (got.argmax(axis=1) == y.argmax(axis=1)).all(), seed
        assert np.linalg.norm(got - y) < CLOSE * np.linalg.norm(y), seed
        off = float(np.abs(got - y).max())
        if off >= CLOSE * max(1.0, float(np.abs(y).max())):
            amplified.append(seed)
            assert off < 2 * own_error(seed, xs, y), (seed, off)
    assert len(amplified) <= 2, amplified


def test_the_networks_have_all_layers() -> None:
    kinds = set[str]().union(*(draw(seed).kinds for seed in range(NETS)))
    assert {*tinynn.layers.__all__, *tinynn.losses.__all__} - kinds == {"Loss", "ElementwiseLoss", "Step"}


def test_every_layer_and_loss_has_a_writer() -> None:
    public = {getattr(tinynn, name) for name in (*tinynn.layers.__all__, *tinynn.losses.__all__)}
    assert not {kind.__name__ for kind in public if not any(above in writers for above in kind.__mro__)}


@pytest.mark.parametrize("opset", [17, 18, 19, 20, 21, 22, 23, 24])
def test_every_opset_means_the_same(opset: int, tmp_path: Path) -> None:
    for seed in range(24):
        drawn = draw(seed)
        xs = drawn.rows(np.random.default_rng(seed), 20)
        path = tmp_path / "net.onnx"
        try:
            export(drawn.net, path, opset=opset)
        except ConfigurationError as error:
            assert opset < 19 and "AveragePool2D" in str(error.where)
            continue
        assert onnx.load(path).opset_import[0].version == opset
        np.testing.assert_allclose(run_onnx(path, *xs)[0], drawn.net.predict(*xs), rtol=1e-5, atol=CLOSE)


def test_an_average_over_a_dilated_window_takes_a_later_opset(tmp_path: Path) -> None:
    net = Sequential(AveragePool2D(2, dilation=2)).build((1, 5, 5))
    assert onnx.load(export(net, tmp_path / "net.onnx")).opset_import[0].version == 19
    plain = Sequential(AveragePool2D(2)).build((1, 5, 5))
    assert onnx.load(export(plain, tmp_path / "net.onnx")).opset_import[0].version == 17
    with pytest.raises(ConfigurationError, match=r"(?s)layer 0: AveragePool2D.*19 to 24"):
        export(net, tmp_path / "net.onnx", opset=17)


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("size", "stride", "padding", "dilation"), WINDOWS)
def test_pooling_at_the_edges(
    size: int, stride: int, padding: Any, dilation: int, ceil: bool, count: bool, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 7)).astype(np.float32)
    for layer in (
        AveragePool2D(size, stride, padding, dilation, ceil, count),
        MaxPool2D(size, stride, padding, dilation, ceil),
    ):
        net = Sequential(layer).build((3, 8, 7))
        (got,) = run_onnx(export(net, tmp_path / "net.onnx"), x)
        np.testing.assert_allclose(got, net.predict(x), rtol=1e-6, atol=1e-6)


def test_a_step_is_the_same_on_both_sides_of_it(tmp_path: Path) -> None:
    net = Sequential(Step()).build((3,))
    x = np.array([[-1, 0, 1e-30], [-1e-30, -0.0, 2]], np.float32)
    np.testing.assert_array_equal(run_onnx(export(net, tmp_path / "net.onnx"), x)[0], net.predict(x))


def test_large_numbers_overflow_nowhere(tmp_path: Path) -> None:
    x = np.array([[-1e4, 1e4, -200], [88, -88, 0]], np.float32)
    kinds = (tinynn.GELU, tinynn.SiLU, tinynn.Mish, tinynn.Softplus, Softmax, tinynn.LogSoftmax, ELU, Sigmoid, Tanh)
    for layer in (*(kind() for kind in kinds), tinynn.GELU(approximate=True)):
        net = Sequential(layer).build((3,))
        (got,) = run_onnx(export(net, tmp_path / "net.onnx"), x)
        np.testing.assert_allclose(got, net.predict(x), rtol=1e-5, atol=1e-6, err_msg=repr(layer))


# --- what the file says


def test_names_are_kept_and_the_batch_is_free(tmp_path: Path) -> None:
    net = Sequential(Affine(4), ReLU(), Sequential(Affine(3), BatchNorm()), SoftmaxCrossEntropy()).build((5,))
    model = onnx.load(export(net, tmp_path / "net.onnx"))
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    names = ["0.W", "0.b", "2.0.W", "2.0.b", "2.1.gamma", "2.1.beta", "2.1.mean", "2.1.var"]
    assert [array.name for array in graph.initializer] == names
    assert [(node.name, node.op_type) for node in graph.node] == [
        *(("0", "Gemm"), ("1", "Relu"), ("2.0", "Gemm"), ("2.1", "BatchNormalization"), ("3", "Softmax")),
    ]
    assert graph.node[0].doc_string == "Affine(4)"
    (x,), (y,) = graph.input, graph.output
    assert (x.name, y.name) == ("x", "y")
    for value, size in ((x, 5), (y, 3)):
        batch, features = value.type.tensor_type.shape.dim
        assert batch.dim_param == "N" and features.dim_value == size
    assert (model.producer_name, model.producer_version) == ("tinynn", tinynn.__version__)
    for n in (1, 7):
        assert run_onnx(tmp_path / "net.onnx", np.zeros((n, 5), np.float32))[0].shape == (n, 3)
    for array in graph.initializer:
        held = {**net.storage.parameters, **net.storage.states}[array.name]
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(array), held)


def test_a_graph_keeps_the_names_of_inputs_and_outputs(tmp_path: Path) -> None:
    net = Graph(
        ("image", "age"), ("hidden", "digit", "again", "loss"),
        hidden=(Affine(4), "image"), digit=(Affine(3), "hidden"), both=(Affine(3), "age"),
        s=(Add(), "digit", "both"), again=(Identity(), "digit"), loss=(BinaryCrossEntropy(), "s", "targets"),
    ).build((5,), (2,))  # fmt: skip
    path = export(net, tmp_path / "net.onnx")
    graph = onnx.load(path).graph
    assert [value.name for value in graph.input] == ["image", "age"]
    assert [value.name for value in graph.output] == ["hidden", "digit", "again", "loss"]
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((6, 5)).astype(np.float32), rng.standard_normal((6, 2)).astype(np.float32)
    for got, y in zip(run_onnx(path, *xs), net.predict(*xs), strict=True):
        np.testing.assert_allclose(got, y, rtol=1e-5, atol=CLOSE)


@pytest.mark.parametrize("layers", [(Identity(),), (Identity(), Huber()), (ReLU(), Dropout(0.2), Identity())])
def test_a_network_that_passes_its_input_on(layers: tuple[Layer, ...], tmp_path: Path) -> None:
    net = Sequential(*layers).build((2,))
    x = np.array([[1, 2]], np.float32)
    np.testing.assert_array_equal(run_onnx(export(net, tmp_path / "net.onnx"), x)[0], x)


def test_bytes_and_words_as_they_come(tmp_path: Path) -> None:
    net = Sequential(Rescale(1 / 255), Flatten(), Affine(3), SoftmaxCrossEntropy()).build((4, 4))
    images = np.random.default_rng(2).integers(0, 256, (5, 4, 4), np.uint8)
    (got,) = run_onnx(export(net, tmp_path / "net.onnx", input_dtype="uint8"), images)
    np.testing.assert_allclose(got, net.predict(images), rtol=0, atol=CLOSE)
    (got,) = run_onnx(export(net, tmp_path / "net.onnx"), images.astype(np.float32))
    np.testing.assert_allclose(got, net.predict(images), rtol=0, atol=CLOSE)
    (got,) = run_onnx(export(net, tmp_path / "net.onnx", input_dtype="float64"), images.astype(float))
    np.testing.assert_allclose(got, net.predict(images), rtol=0, atol=CLOSE)
    plain = Sequential(Affine(2)).build((4,))  # reads floats: integers are turned into them at the entrance
    (got,) = run_onnx(export(plain, tmp_path / "net.onnx", input_dtype={"x": "int32"}), images[0].astype(np.int32))
    np.testing.assert_allclose(got, plain.predict(images[0]), rtol=1e-6)

    words = Graph(
        e=(Sequential(Graph(e=(Embedding(9, 2), "w")), Flatten()), "ids"), a=(Affine(4), "x"), y=(Add(), "e", "a")
    )
    words.build((2,), (3,))
    path = export(words, tmp_path / "net.onnx")
    ids, x = np.array([[1, 8], [0, 3]]), np.ones((2, 3), np.float32)
    np.testing.assert_allclose(run_onnx(path, ids, x)[0], words.predict(ids, x), rtol=1e-6)
    small = export(words, tmp_path / "net.onnx", input_dtype={"ids": "uint8"})
    np.testing.assert_allclose(run_onnx(small, ids.astype(np.uint8), x)[0], words.predict(ids, x), rtol=1e-6)
    for wrong in ({"ids": "float32"}, {"z": "uint8"}, "complex64", 3):
        with pytest.raises(ConfigurationError, match="an input dtype that cannot be"):
            export(words, tmp_path / "net.onnx", input_dtype=wrong)  # pyright: ignore[reportArgumentType]


def test_the_file_is_float32_unless_told_otherwise(tmp_path: Path) -> None:
    net = Sequential(Affine(3), Sigmoid(), Affine(2)).build((4,), dtype="float64")
    x = np.random.default_rng(0).standard_normal((5, 4))
    (got,) = run_onnx(export(net, tmp_path / "net.onnx"), x.astype(np.float32))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, net.predict(x), atol=1e-5)
    (got,) = run_onnx(export(net, tmp_path / "net.onnx", dtype="float64"), x)
    np.testing.assert_allclose(got, net.predict(x), rtol=1e-12)
    net[0].W[0, 0] = 1e300
    with pytest.raises(ConfigurationError, match=r"(?s)parameter 0\.W holds a number that float32 has not.*float64"):
        export(net, tmp_path / "net.onnx")


# --- layers of one's own


class Twice(Gain):
    """Another computation: what writes Gain must not write it."""

    def forward(self, x: Any) -> Any:
        return 2 * x * self.g, x


class Named(Gain):
    """The same computation under another name."""


class Scores(Loss):
    """A loss whose scores mean something else."""

    def link(self, scores: Any) -> Any:
        return 2 * scores


class Plain(Loss):
    """A loss whose scores are what they are."""


@pytest.fixture
def gain() -> Any:
    @writer(Gain)
    def write(layer: Gain, out: Any, x: str) -> str:
        assert out.shapes == ((3,),)
        return out.node("Mul", x, out.parameter("g"))

    yield write
    del writers[Gain]


def test_a_layer_of_ones_own_is_refused_until_it_has_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"as it was")
    net = Sequential(Affine(3), Graph(y=(Gain(), "x"))).build((2,))
    with pytest.raises(ConfigurationError, match=r"(?s)becomes.*layer 1\.y: Gain\(\).*@tinynn\.onnx\.writer\(Gain\)"):
        export(net, path)
    assert path.read_bytes() == b"as it was"
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_a_writer_of_ones_own(gain: Any, tmp_path: Path) -> None:
    x = np.ones((2, 3), np.float32)
    for kind in (Gain, Named):
        net = Sequential(kind(), ReLU(), Gain()).build((3,))
        net[0].g[...] = [1, 2, 3]
        net[2].g[...] = 2
        path = export(net, tmp_path / "net.onnx")
        np.testing.assert_array_equal(run_onnx(path, x)[0], net.predict(x))
        assert [array.name for array in onnx.load(path).graph.initializer] == ["0.g", "2.g"]
    with pytest.raises(ConfigurationError, match="Twice becomes"):
        export(Sequential(Twice()).build((3,)), tmp_path / "net.onnx")


def test_a_loss_of_ones_own(tmp_path: Path) -> None:
    path = export(Sequential(Affine(2), Plain()).build((3,)), tmp_path / "net.onnx")
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Gemm"]
    with pytest.raises(ConfigurationError, match="Scores becomes"):
        export(Sequential(Affine(2), Scores()).build((3,)), path)


def test_a_network_of_ones_own_class(tmp_path: Path) -> None:
    class LeNet(Sequential):
        """Its layers, and nothing else."""

        def __init__(self) -> None:
            super().__init__(Reshape((1, 8, 8)), Conv2D(2, 3), ReLU(), Flatten(), Affine(2))

    net = LeNet().build((64,))
    x = np.ones((2, 64), np.float32)
    np.testing.assert_allclose(run_onnx(export(net, tmp_path / "net.onnx"), x)[0], net.predict(x), rtol=1e-5)


def test_writers_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a writer is for a class of layers"):
        writer(Gain())  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="a writer is for a class of layers"):
        writer()
    try:
        given: tuple[Any, ...] = ("nothing", None, ["x"])
        for wrong in given:
            writers[Gain] = lambda layer, out, x, wrong=wrong: wrong
            with pytest.raises(ConfigurationError, match=r"returns the name.*\n.*layer 0: Gain"):
                export(Sequential(Gain()).build((3,)), tmp_path / "net.onnx")
        for read in (0.5, "nothing", None):
            writers[Gain] = lambda layer, out, x, read=read: out.node("Mul", x, read)
            with pytest.raises(ConfigurationError, match=r"(?s)by their names.*Mul, layer 0: Gain.*out\.constant"):
                export(Sequential(Gain()).build((3,)), tmp_path / "net.onnx")
        writers[Gain] = lambda layer, out, x: out.node("Wurlitzer", x)
        with pytest.raises(ConfigurationError, match=r"(?s)does not accept.*Wurlitzer"):
            export(Sequential(Gain()).build((3,)), tmp_path / "net.onnx")
    finally:
        del writers[Gain]
    assert [*tmp_path.iterdir()] == []


# --- arguments and files


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opset": 16}, "17 to 24"),
        ({"opset": 99}, "17 to 24"),
        ({"opset": "17"}, "17 to 24"),
        ({"opset": True}, "17 to 24"),
        ({"dtype": "float16"}, "unknown dtype"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        export(Sequential(Affine(2)).build((3,)), tmp_path / "net.onnx", **arguments)


def test_what_is_no_whole_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="only networks"):
        export(Affine(3), tmp_path / "net.onnx")
    with pytest.raises(NotBuiltError):
        export(Sequential(Affine(3)), tmp_path / "net.onnx")
    net = Sequential(Sequential(Affine(3))).build((2,))
    with pytest.raises(ConfigurationError, match="a part of a network"):
        export(net[0], tmp_path / "net.onnx")


def test_the_file_is_written_whole_into_a_new_folder_or_not_at_all(tmp_path: Path) -> None:
    net = Sequential(Affine(2), MeanSquaredError()).build((3,))
    path = export(net, str(tmp_path / "a" / "b" / "net.onnx"))
    assert path == tmp_path / "a" / "b" / "net.onnx"
    with pytest.raises(DataError, match="cannot write"):
        export(net, tmp_path / "a")


def test_what_is_larger_than_the_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Sequential(Affine(20)).build((30,))
    for most in (1000, 2500):  # the arrays alone, and with what names them
        monkeypatch.setattr(limits, "LARGEST", most)
        with pytest.raises(DataError, match="larger than an ONNX file may be"):
            export(net, tmp_path / "net.onnx")
    assert [*tmp_path.iterdir()] == []


def test_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    for call in (lambda path: export(Sequential(Affine(2)).build((3,)), path), tinynn.onnx.import_):
        with pytest.raises(MissingExtraError, match=r"tinynn-xp\[onnx\]"):
            call(tmp_path / "net.onnx")
