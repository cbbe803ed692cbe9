"""ONNX files as networks: what was exported comes back, and what other programs write is read as they mean it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_cases.reading import collect
from onnx_nets import WINDOWS, draw, run_onnx

from tinynn import (
    GELU,
    SGD,
    Add,
    Affine,
    AveragePool2D,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigurationError,
    Conv2D,
    DataError,
    Dropout,
    Flatten,
    Graph,
    GroupNorm,
    MeanSquaredError,
    Mish,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    ShapeError,
    Sigmoid,
    SiLU,
    Softmax,
    SoftmaxCrossEntropy,
    Step,
    fit,
    load,
)
from tinynn.onnx import export, import_

NETS = 200
PARTS = 4
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_was_exported_comes_back(part: int, tmp_path: Path) -> None:
    for seed in range(part, NETS, PARTS):
        drawn = draw(seed)
        back: Any = import_(export(drawn.net, tmp_path / "net.onnx"))
        xs = drawn.rows(np.random.default_rng(seed), 20)
        np.testing.assert_allclose(back.predict(*xs), drawn.net.predict(*xs), rtol=1e-6, atol=1e-6, err_msg=str(seed))


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("size", "stride", "padding", "dilation"), WINDOWS)
def test_averages_come_back(
    size: int, stride: int, padding: Any, dilation: int, ceil: bool, count: bool, tmp_path: Path
) -> None:
    net = Sequential(AveragePool2D(size, stride, padding, dilation, ceil, count)).build((2, 8, 7))
    back: Any = import_(export(net, tmp_path / "net.onnx"))
    x = RNG.standard_normal((3, 2, 8, 7)).astype(np.float32)
    assert [type(layer) for layer in back] == [AveragePool2D]
    np.testing.assert_allclose(back.predict(x), net.predict(x), rtol=1e-6, atol=1e-6)


def test_layers_come_back_as_they_were(tmp_path: Path) -> None:
    net = Sequential(
        Conv2D(4, 3, padding="same", stride=2),
        GroupNorm(2),
        GELU(),
        GELU(approximate=True),
        BatchNorm(0.5),
        Dropout(0.25),
        Flatten(),
        Affine(3),
        Step(),
        Sigmoid(),
    ).build((2, 6, 6))
    back: Any = import_(export(net, tmp_path / "net.onnx"))
    assert [repr(layer) for layer in back] == [
        "Conv2D(4, 3, stride=2, padding=((0, 1), (0, 1)))",
        "GroupNorm(2, 1e-05)",
        "GELU()",
        "GELU(True)",
        "BatchNorm(0.5, 1e-05)",
        "Dropout(0.25)",
        "Flatten()",
        "Affine(3)",
        "Step()",
        "Sigmoid()",
    ]
    for name, array in net.storage.arrays().items():
        if not name.endswith("stream"):
            np.testing.assert_array_equal(back.storage.arrays()[name], array)


def test_in_float64(tmp_path: Path) -> None:
    for seed in range(20):
        drawn = draw(seed, "float64")
        back: Any = import_(export(drawn.net, tmp_path / "net.onnx", dtype="float64"))
        xs = drawn.rows(np.random.default_rng(seed), 20)
        assert back.dtype == np.float64
        np.testing.assert_allclose(back.predict(*xs), drawn.net.predict(*xs), rtol=1e-6, atol=1e-6)


def test_names_of_a_graph_come_back(tmp_path: Path) -> None:
    net = Graph(
        ("a", "b"),
        ("deep", "y"),
        h=(Affine(3), "a"),
        deep=(Residual(Sequential(Affine(3), ReLU())), "h"),
        y=(Add(), "deep", "b"),
    ).build((2,), (3,))
    back: Any = import_(export(net, tmp_path / "net.onnx"))
    assert isinstance(back, Graph)
    assert (back.input_names, back.wiring.outputs) == (("a", "b"), ("deep", "y"))
    assert {"h.W", "h.b"} < set(back.storage.parameters)
    xs = RNG.standard_normal((4, 2)), RNG.standard_normal((4, 3))
    for got, y in zip(back.predict(*xs), net.predict(*xs), strict=True):
        np.testing.assert_allclose(got, y, rtol=1e-6)


# --- learning on


def test_a_file_learns_on_like_the_network_that_it_was(tmp_path: Path) -> None:
    x = RNG.standard_normal((64, 5)).astype(np.float32)
    t = (x.sum(axis=1) > 0).astype(int) + (x[:, 0] > 1)
    net = Sequential(Affine(8), BatchNorm(), ReLU(), Affine(3), SoftmaxCrossEntropy()).build((5,), seed=3)
    back = import_(export(net, tmp_path / "net.onnx"), loss=SoftmaxCrossEntropy())
    assert repr(back) == "Sequential(Affine(8), BatchNorm(0.9, 1e-05), ReLU(), Affine(3), SoftmaxCrossEntropy())"
    for one in (net, back):
        fit(one, SGD(lr=0.1), (x, t), epochs=3, progress=False, seed=1)
    np.testing.assert_allclose(back.storage.params, net.storage.params, rtol=1e-5, atol=1e-6)
    saved = tmp_path / "net.npz"
    back.save(saved)
    np.testing.assert_array_equal(load(saved).predict(x), back.predict(x))


def test_the_loss_takes_the_place_of_what_it_contains(tmp_path: Path) -> None:
    path = export(Sequential(Affine(1), Sigmoid()).build((3,)), tmp_path / "net.onnx")
    for loss, last in ((BinaryCrossEntropy(), Affine), (MeanSquaredError(), Sigmoid)):
        back: Any = import_(path, loss=loss)
        assert type(back[len(back) - 2]) is last
        assert back.final_loss is loss
    graph = Graph(a=(Affine(2), "x"), b=(Affine(2), "z"), s=(Add(), "a", "b"), p=(Softmax(), "s")).build((3,), (4,))
    net: Any = import_(export(graph, tmp_path / "net.onnx"), loss=SoftmaxCrossEntropy())
    assert [*net.layers] == ["a", "b", "s", "loss"]
    assert net.target_names == ("targets",)
    x, z, t = RNG.standard_normal((6, 3)), RNG.standard_normal((6, 4)), np.arange(6) % 2
    assert net.evaluate(x, z, t).loss > 0
    np.testing.assert_allclose(net.predict(x, z), graph.predict(x, z), rtol=1e-5)
    one: Any = import_(export(Sequential(Softmax()).build((3,)), tmp_path / "net.onnx"), loss=SoftmaxCrossEntropy())
    assert [type(layer) for layer in one] == [Softmax, SoftmaxCrossEntropy]  # there would be nothing left


def test_a_loss_that_does_not_fit(tmp_path: Path) -> None:
    path = export(Sequential(Conv2D(1, 3)).build((1, 5, 5)), tmp_path / "net.onnx")
    with pytest.raises(ShapeError, match="SoftmaxCrossEntropy"):
        import_(path, loss=SoftmaxCrossEntropy())
    with pytest.raises(ConfigurationError, match="loss is a loss"):
        import_(path, loss=Softmax())  # pyright: ignore[reportArgumentType]
    two = Graph(("x",), ("a", "b"), a=(Affine(2), "x"), b=(ReLU(), "a")).build((3,))
    with pytest.raises(ConfigurationError, match="several outputs"):
        import_(export(two, tmp_path / "net.onnx"), loss=MeanSquaredError())


# --- what other programs write


def written(path: Path, nodes: list[Any], x: Any, opset: int = 17, **arrays: Any) -> Path:
    """A file with these nodes, the last of which gives the output."""
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["N", *x.shape[1:]])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def node(operator: str, *reads: str, gives: str = "y", **attributes: Any) -> Any:
    return helper.make_node(operator, reads, [gives], **attributes)


F = np.float32


def floats(values: Any) -> np.ndarray:
    return np.asarray(values, F)


ROWS = RNG.standard_normal((4, 6)).astype(F)
IMAGES = RNG.standard_normal((4, 2, 6, 8)).astype(F)
SEQUENCES = RNG.standard_normal((4, 2, 9)).astype(F)
W = RNG.standard_normal((6, 3)).astype(F)
KERNEL = RNG.standard_normal((4, 2, 3, 3)).astype(F)
LINE = RNG.standard_normal((4, 2, 3)).astype(F)
GAINS = RNG.uniform(0.5, 2, 4).astype(F)
HALF = floats(np.sqrt(0.5))

# A name, what is to be computed, the nodes, the layers that are to come of them, and the arrays.
FOREIGN: dict[str, tuple[np.ndarray, list[Any], str, dict[str, Any]]] = {
    "a product and a bias": (
        ROWS,
        [node("MatMul", "x", "W", gives="p"), node("Add", "b", "p")],
        "Affine(3)",
        {"W": W, "b": GAINS[:3]},
    ),
    "a product with a transpose": (
        ROWS,
        [node("Transpose", "V", gives="W"), node("MatMul", "x", "W")],
        "Affine(3)",
        {"V": W.T.copy()},
    ),
    "Gemm with factors": (
        ROWS,
        [node("Gemm", "x", "V", "b", alpha=0.5, beta=2.0, transB=1)],
        "Affine(3)",
        {"V": W.T.copy(), "b": floats(1.5)},
    ),
    "a convolution and a bias": (
        IMAGES,
        [node("Conv", "x", "W", gives="p"), node("Add", "p", "b")],
        "Conv2D(4, 3)",
        {"W": KERNEL, "b": GAINS.reshape(1, 4, 1, 1)},
    ),
    "a convolution with padding before it": (
        IMAGES,
        [node("Pad", "x", "p", gives="q"), node("Conv", "q", "W", "b", pads=[1, 0, 0, 1])],
        "Conv2D(4, 3, padding=((2, 2), (1, 2)))",
        {"W": KERNEL, "b": GAINS, "p": np.array([0, 0, 1, 1, 0, 0, 2, 1])},
    ),
    "padding that names its side": (
        IMAGES,
        [node("Conv", "x", "W", auto_pad="SAME_LOWER", strides=[2, 2])],
        "Conv2D(4, 3, stride=2, padding=((1, 0), (1, 0)))",
        {"W": KERNEL},
    ),
    "a sequence": (
        SEQUENCES,
        [node("Conv", "x", "W", "b", gives="c", pads=[1, 1]), node("MaxPool", "c", kernel_shape=[3])],
        "Reshape((2, 1, -1)) Conv2D(4, (1, 3), padding=(0, 1)) Reshape((4, -1)) Reshape((4, 1, -1)) "
        "MaxPool2D((1, 3), stride=1) Reshape((4, -1))",
        {"W": LINE, "b": GAINS},
    ),
    "GELU by its formula": (
        ROWS,
        [
            node("Mul", "x", "h", gives="a"),
            node("Erf", "a", gives="e"),
            node("Add", "one", "e", gives="s"),
            node("Mul", "x", "half", gives="q"),
            node("Mul", "s", "q"),
        ],
        "GELU()",
        {"h": HALF, "one": floats(1), "half": floats(0.5)},
    ),
    "GELU with tanh": (
        ROWS,
        [
            node("Pow", "x", "three", gives="p"),
            node("Mul", "p", "c", gives="q"),
            node("Add", "x", "q", gives="r"),
            node("Mul", "r", "k", gives="u"),
            node("Tanh", "u", gives="t"),
            node("Add", "t", "one", gives="s"),
            node("Mul", "x", "s", gives="m"),
            node("Mul", "m", "half"),
        ],
        "GELU(True)",
        {
            "three": floats(3),
            "c": floats(0.044715),
            "k": floats(np.sqrt(2 / np.pi)),
            "one": floats(1),
            "half": floats(0.5),
        },
    ),
    "a norm by the mean of squares": (
        ROWS,
        [
            node("Pow", "x", "two", gives="p"),
            node("ReduceMean", "p", gives="m", axes=[-1]),
            node("Add", "m", "eps", gives="a"),
            node("Sqrt", "a", gives="s"),
            node("Div", "x", "s", gives="d"),
            node("Mul", "g", "d"),
        ],
        "RMSNorm(-1, 1e-05)",
        {"two": floats(2), "eps": floats(1e-5), "g": RNG.uniform(0.5, 2, 6).astype(F)},
    ),
    "Softsign by its formula": (
        ROWS,
        [node("Abs", "x", gives="a"), node("Add", "a", "one", gives="b"), node("Div", "x", "b")],
        "Softsign()",
        {"one": floats(1)},
    ),
    "HardSwish by its formula": (
        ROWS,
        [node("HardSigmoid", "x", gives="h", alpha=1 / 6, beta=0.5), node("Mul", "x", "h")],
        "HardSwish()",
        {},
    ),
    "a shift and a factor": (
        ROWS,
        [node("Sub", "x", "m", gives="a"), node("Div", "a", "s", gives="b"), node("Sub", "one", "b")],
        "Rescale(1.0, -0.25) Rescale(0.5) Rescale(-1.0, 1.0)",
        {"m": floats(0.25), "s": floats(2), "one": floats([1])},
    ),
    "a factor and a shift for each": (
        ROWS,
        [node("Mul", "x", "s", gives="a"), node("Add", "b", "a")],
        "Rescale(<array (6,)>) Rescale(1.0, <array (6,)>)",
        {"s": ROWS[0], "b": ROWS[1:2]},
    ),
    "the sign": (ROWS, [node("Neg", "x")], "Rescale(-1.0)", {}),
    "a mean over all pixels": (
        IMAGES,
        [node("ReduceMean", "x", axes=[2, 3], keepdims=0)],
        "GlobalAveragePool()",
        {},
    ),
    "a mean over all pixels that stay": (
        IMAGES,
        [node("ReduceMax", "x", axes=[-1, -2])],
        "GlobalMaxPool() Reshape((2, 1, 1))",
        {},
    ),
    "a global pool that is flattened": (
        IMAGES,
        [node("GlobalAveragePool", "x", gives="p"), node("Flatten", "p")],
        "GlobalAveragePool()",
        {},
    ),
    "a global pool that is not": (IMAGES, [node("GlobalMaxPool", "x")], "GlobalMaxPool() Reshape((2, 1, 1))", {}),
    "pixels repeated": (
        IMAGES,
        [node("Resize", "x", "", "s")],
        "Upsample2D((2, 3))",
        {"s": floats([1, 1, 2, 3])},
    ),
    "pixels repeated to a size": (
        IMAGES,
        [node("Resize", "x", "", "", "s", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        "Upsample2D((2, 1))",
        {"s": np.array([4, 2, 12, 8])},
    ),
    "axes taken away and put in": (
        IMAGES,
        [
            node("Unsqueeze", "x", "a", gives="u"),
            node("Squeeze", "u", "a", gives="v"),
            node("Transpose", "v", perm=[0, 2, 3, 1]),
        ],
        "Reshape((2, 1, 6, 8)) Reshape((2, 6, 8)) Permute(1, 2, 0)",
        {"a": np.array([2])},
    ),
    "a shape computed from the shape": (
        IMAGES,
        [
            node("Shape", "x", gives="s"),
            node("Gather", "s", "zero", gives="n"),
            node("Unsqueeze", "n", "axes", gives="m"),
            node("Constant", gives="rest", value_ints=[-1]),
            node("Concat", "m", "rest", gives="t", axis=0),
            node("Reshape", "x", "t"),
        ],
        "Flatten()",
        {"zero": np.array(0), "axes": np.array([0])},
    ),
    "sizes of the input kept": (
        IMAGES,
        [node("Reshape", "x", "s")],
        "Reshape((2, -1, 4))",
        {"s": np.array([0, 0, -1, 4])},
    ),
    "bounds left out": (
        ROWS,
        [node("Clip", "x", "", "top")],
        "Clip(-3.4028234663852886e+38, 0.5)",
        {"top": floats(0.5)},
    ),
    "one slope for all": (ROWS, [node("PRelu", "x", "a")], "PReLU()", {"a": floats([0.3])}),
    "a slope for each channel": (IMAGES, [node("PRelu", "x", "a")], "PReLU()", {"a": floats([[[0.3]], [[0.1]]])}),
    "norms of layers": (
        IMAGES,
        [node("LayerNormalization", "x", "g", gives="a", axis=-2), node("InstanceNormalization", "a", "h", "b")],
        "LayerNorm(-2, 1e-05) GroupNorm(2, 1e-05)",
        {"g": RNG.uniform(0.5, 2, (6, 8)).astype(F), "h": GAINS[:2], "b": GAINS[2:]},
    ),
    "passed on": (
        ROWS,
        [node("Identity", "x", gives="a"), node("Cast", "a", gives="b", to=1), node("Relu", "b")],
        "ReLU()",
        {},
    ),
    "nothing but passing on": (ROWS, [node("Identity", "x")], "Identity()", {}),
    "one value": (
        ROWS,
        [node("Sum", "x", gives="a"), node("Concat", "a", gives="b", axis=1), node("Relu", "b")],
        "ReLU()",
        {},
    ),
    "constants of all kinds": (
        ROWS,
        [
            node("Constant", gives="a", value_float=2.0),
            node("Constant", gives="b", value=numpy_helper.from_array(floats([3]))),
            node("Constant", gives="c", value_floats=[4.0]),
            node("Mul", "x", "a", gives="d"),
            node("Add", "d", "b", gives="e"),
            node("Mul", "e", "c"),
        ],
        "Rescale(2.0, 3.0) Rescale(4.0)",
        {},
    ),
    "an array passed on": (
        ROWS,
        [node("Identity", "V", gives="W"), node("MatMul", "x", "W")],
        "Affine(3)",
        {"V": W},
    ),
    "a shape by way of others": (
        IMAGES,
        [
            node("Shape", "x", gives="s", start=0, end=1),
            node("Cast", "s", gives="c", to=7),
            node("Squeeze", "c", gives="n"),
            node("Unsqueeze", "n", "axes", gives="m"),
            node("Concat", "m", "rest", gives="t", axis=0),
            node("Reshape", "x", "t"),
        ],
        "Reshape((2, 48))",
        {"axes": np.array([0]), "rest": np.array([2, 48])},
    ),
    "halves": (ROWS, [node("MatMul", "x", "W")], "Affine(3)", {"W": W.astype(np.float16)}),
    "words": (
        RNG.integers(0, 5, (4, 3)),
        [node("Cast", "x", gives="i", to=6), node("Gather", "W", "i")],
        "Embedding(5, 2)",
        {"W": RNG.standard_normal((5, 2)).astype(F)},
    ),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_write(name: str, tmp_path: Path) -> None:
    x, nodes, layers, arrays = FOREIGN[name]
    path = written(tmp_path / "net.onnx", nodes, x, **arrays)
    net: Any = import_(path)
    assert " ".join(repr(layer).replace("GELU(approximate=False)", "GELU()") for layer in net) == layers
    if name != "halves":  # of which ONNX Runtime makes no product with floats
        np.testing.assert_allclose(net.predict(x), run_onnx(path, x)[0], rtol=1e-4, atol=2e-5)
    else:
        np.testing.assert_allclose(net.predict(x), x @ W.astype(np.float16).astype(F), rtol=1e-4, atol=1e-5)


GROUPS = [
    *(node("Reshape", "x", "s", gives="a"), node("InstanceNormalization", "a", "one", "none", gives="b")),
    *(node("Shape", "x", gives="t"), node("Reshape", "b", "t", gives="c"), node("Mul", "c", "g", gives="d")),
    node("Add", "d", "h"),
]
GROUP_ARRAYS = {"s": np.array([0, 2, -1]), "one": np.ones(2, F), "none": np.zeros(2, F)}
FOUR = RNG.standard_normal((3, 4, 3, 5)).astype(F)


def test_group_norm_as_pytorch_writes_it(tmp_path: Path) -> None:
    gains: dict[str, Any] = {"g": GAINS.reshape(4, 1, 1), "h": GAINS[::-1].reshape(4, 1, 1).copy()}
    path = written(tmp_path / "net.onnx", GROUPS, FOUR, **GROUP_ARRAYS, **gains)
    net: Any = import_(path)
    assert [repr(layer) for layer in net] == ["GroupNorm(2, 1e-05)"]
    np.testing.assert_allclose(net.predict(FOUR), run_onnx(path, FOUR)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("opset", "gains"), [(18, 2), (21, 4)])
def test_group_normalization_has_had_two_meanings(opset: int, gains: int, tmp_path: Path) -> None:
    g, b = GAINS[:gains], GAINS[::-1][:gains].copy()
    net: Any = import_(
        written(
            tmp_path / "net.onnx",
            [node("GroupNormalization", "x", "g", "b", num_groups=2)],
            FOUR,
            opset=opset,
            g=g,
            b=b,
        )
    )
    parts = FOUR.reshape(3, 2, -1)
    xhat = (parts - parts.mean(-1, keepdims=True)) / np.sqrt(parts.var(-1, keepdims=True) + 1e-5)
    repeated = [np.repeat(a, 4 // gains).reshape(4, 1, 1) for a in (g, b)]
    np.testing.assert_allclose(
        net.predict(FOUR), xhat.reshape(FOUR.shape) * repeated[0] + repeated[1], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_dropout_keeps_its_rate(rate: float, tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node("Dropout", "x", "r")], ROWS, r=floats(rate))
    net: Any = import_(path, seed=4)
    np.testing.assert_array_equal(net.predict(ROWS), ROWS)
    same = Sequential(Dropout(rate)).build((6,), seed=4)
    np.testing.assert_array_equal(net.forward(ROWS)[0], same.forward(ROWS)[0])  # and the masks are the seed's


def test_names_that_python_does_not_have_become_others(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="/up/1"),
        helper.make_node("Tanh", ["x"], ["b"], name="/up 1"),
        helper.make_node(
            "Add",
            ["a", "b"],
            [
                "",
            ],
            name="lost",
        ),
        helper.make_node("Add", ["a", "b"], ["-"]),
    ]
    net: Any = import_(written(tmp_path / "net.onnx", nodes, ROWS))
    assert [*net.layers] == ["up_1", "up_1_1", "node"]
    np.testing.assert_allclose(net.predict(ROWS), np.maximum(ROWS, 0) + np.tanh(ROWS), rtol=1e-6)


def test_the_shape_may_be_given_where_the_file_leaves_it_open(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node("Relu", "x")], IMAGES)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    path.write_bytes(model.SerializeToString())
    assert import_(path, (2, 9, 8)).input_shapes == ((2, 9, 8),)
    with pytest.raises(DataError, match=r"(?s)how large its input is.*\(2, '\?', 8\).*import_\(path"):
        import_(path)
    for shapes in (((2, 9, 9),), ((9, 8),)):
        with pytest.raises(ConfigurationError, match="another shape for its input"):
            import_(path, *shapes)
    with pytest.raises(ConfigurationError, match="a shape for each input"):
        import_(path, (2, 9, 8), (3,))


def test_a_batch_of_a_fixed_length_is_a_batch(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node("Reshape", "x", "s")], IMAGES, s=np.array([4, 96]))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    path.write_bytes(model.SerializeToString())
    assert import_(path).predict(np.zeros((7, 2, 6, 8))).shape == (7, 96)


@pytest.mark.parametrize(
    ("opset", "step", "layer", "x"),
    [
        (20, node("Gelu", "x"), "GELU(approximate=False)", ROWS),
        (20, node("Gelu", "x", approximate="tanh"), "GELU(approximate=True)", ROWS),
        (18, node("Mish", "x"), "Mish()", ROWS),
        (24, node("Swish", "x"), "SiLU()", ROWS),
        (23, node("RMSNormalization", "x", "g", axis=-2), "RMSNorm(-2, 1e-05)", IMAGES),
    ],
)
def test_operators_that_came_later(opset: int, step: Any, layer: str, x: np.ndarray, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"g": RNG.uniform(0.5, 2, x.shape[2:]).astype(F)} if "g" in step.input else {}
    net: Any = import_(written(tmp_path / "net.onnx", [step], x, opset=opset, **arrays))
    assert [repr(part) for part in net] == [layer]
    same = {"Gelu": GELU(approximate="True" in layer), "Mish": Mish(), "Swish": SiLU()}.get(step.op_type, RMSNorm(-2))
    expected = Sequential(same).build(x.shape[1:])
    if arrays:
        expected[0].g[...] = arrays["g"]
    np.testing.assert_array_equal(net.predict(x), expected.predict(x))


@pytest.mark.parametrize(("operator", "opset"), [("Upsample", 9), ("Resize", 10)])
def test_pixels_repeated_as_older_opsets_said_it(operator: str, opset: int, tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node(operator, "x", "s")], IMAGES, opset=opset, s=floats([1, 1, 2, 3]))
    net: Any = import_(path)
    assert [repr(layer) for layer in net] == ["Upsample2D((2, 3))"]
    np.testing.assert_array_equal(net.predict(IMAGES), run_onnx(path, IMAGES)[0])


def test_an_operator_of_another_opset_has_the_operands_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node("Mish", "x", "x")], ROWS, opset=17)
    with pytest.raises(DataError, match=r"(?s)more operands than Mish has.*1 at most"):
        import_(path)


def test_an_operator_that_the_package_does_not_know_yet_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path / "net.onnx", [node("Swish", "x")], ROWS, opset=24)
    monkeypatch.setattr(onnx.defs, "has", lambda *_: False)
    assert [type(layer) for layer in import_(path)] == [SiLU]


# What has nearly the form of a layer, and is none.


def rms(**changes: Any) -> list[Any]:
    settings = {"axes": [-1]} | changes
    return [
        *(node("Mul", "x", "x", gives="p"), node("ReduceMean", "p", gives="m", **settings)),
        *(node("Add", "m", "eps", gives="a"), node("Sqrt", "a", gives="s"), node("Div", "x", "s", gives="d")),
        node("Mul", "g", "d"),
    ]


def padded(operator: str, mode: str = "constant", **settings: Any) -> list[Any]:
    reads = ("W",) if operator == "Conv" else ()
    return [node("Pad", "x", "p", "v", gives="q", mode=mode), node(operator, "q", *reads, **settings)]


PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])
POOL: dict[str, Any] = {"kernel_shape": [2, 2]}
EPS = {"eps": floats(1e-5), "g": np.ones(6, F)}
NEARLY: dict[str, tuple[np.ndarray, list[Any], dict[str, Any]]] = {
    "a mean over the batch": (ROWS, rms(axes=[0]), EPS),
    "a mean without its axis": (ROWS, rms(keepdims=0), EPS),
    "gains of another shape": (ROWS, rms(), {**EPS, "g": np.ones((1, 6), F)}),
    "groups with gains of their own": (
        FOUR,
        GROUPS,
        GROUP_ARRAYS | {"g": GAINS.reshape(4, 1, 1), "h": GAINS.reshape(4, 1, 1), "one": np.full(2, 2, F)},
    ),
    "padding with what is there": (IMAGES, padded("Conv", "reflect"), {"W": KERNEL, "p": PADS, "v": floats(0)}),
    "padding with ones": (IMAGES, padded("Conv"), {"W": KERNEL, "p": PADS, "v": floats(1)}),
    "padding of the channels": (IMAGES, padded("Conv"), {"W": KERNEL, "p": np.ones(8, int), "v": floats(0)}),
    "padding twice": (IMAGES, padded("Conv", auto_pad="SAME_UPPER"), {"W": KERNEL, "p": PADS, "v": floats(0)}),
    "zeros that may win": (IMAGES, padded("MaxPool", **POOL), {"p": PADS, "v": floats(0)}),
    "windows that reach beyond": (IMAGES, padded("MaxPool", **POOL, ceil_mode=1), {"p": PADS, "v": floats(-np.inf)}),
    "a mean of ones": (IMAGES, padded("AveragePool", **POOL), {"p": PADS, "v": floats(1)}),
    "a mean that counts twice": (
        IMAGES,
        padded("AveragePool", **POOL, count_include_pad=1, pads=[1] * 4),
        {"p": PADS, "v": floats(0)},
    ),
    "means times what they are not": (
        IMAGES,
        [*padded("AveragePool", **POOL)[:1], node("AveragePool", "q", gives="a", **POOL), node("Mul", "a", "f")],
        {"p": PADS, "v": floats(0), "f": np.full((1, 1, 7, 9), 3, F)},
    ),
    "means of another padding": (
        IMAGES,
        [*padded("AveragePool", **POOL)[:1], node("AveragePool", "q", gives="a", **POOL), node("Mul", "a", "f")],
        {"p": PADS, "v": floats(1), "f": np.full((1, 1, 7, 9), 3, F)},
    ),
    "another hard swish": (
        ROWS,
        [node("HardSigmoid", "x", gives="h", alpha=0.2), node("Mul", "x", "h"), node("Sin", "y", gives="z")],
        {},
    ),
    "a step to whole numbers": (
        ROWS,
        [node("Greater", "x", "c", gives="g"), node("Cast", "g", to=7)],
        {"c": floats(0)},
    ),
    "a channel's bias as a row": (
        IMAGES,
        [node("Conv", "x", "W", gives="c"), node("Add", "c", "b")],
        {"W": KERNEL, "b": ROWS[0]},
    ),
    "a factor of whole numbers": (ROWS, [node("Mul", "x", "c", gives="a"), node("Add", "a", "c")], {"c": np.array(2)}),
}


@pytest.mark.parametrize("name", NEARLY)
def test_what_nearly_has_a_form_is_not_taken_for_it(name: str, tmp_path: Path) -> None:
    x, nodes, arrays = NEARLY[name]
    with pytest.raises(DataError, match=r"is read, but not|no layer covers|more than one number"):
        import_(written(tmp_path / "net.onnx", nodes, x, **arrays))


def test_what_is_within_a_form_may_be_read_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [node("Sigmoid", "x", gives="s"), node("Mul", "x", "s")], ROWS)
    assert [type(layer) for layer in import_(path)] == [SiLU]
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, None))
    path.write_bytes(model.SerializeToString())
    net: Any = import_(path)
    assert {name: type(layer).__name__ for name, layer in net.layers.items()} == {"s": "Sigmoid", "y": "Multiply"}
    for got, y in zip(net.predict(ROWS), run_onnx(path, ROWS), strict=True):
        np.testing.assert_allclose(got, y, rtol=1e-5, atol=1e-6)


def test_a_hard_sigmoid_times_its_input_is_a_product(tmp_path: Path) -> None:
    nodes = [node("HardSigmoid", "x", gives="h", alpha=0.3), node("Mul", "x", "h")]
    path = written(tmp_path / "net.onnx", nodes, ROWS)
    net: Any = import_(path)
    assert {type(layer).__name__ for layer in net} == {"HardSigmoid", "Multiply"}
    np.testing.assert_allclose(net.predict(ROWS), run_onnx(path, ROWS)[0], rtol=1e-5, atol=1e-6)


UNCOVERED: dict[str, tuple[np.ndarray, list[Any], str, dict[str, Any]]] = {
    "rows as columns": (ROWS, [node("Gemm", "x", "W", transA=1)], "transA=0", {"W": W}),
    "a product of computed values": (ROWS, [node("MatMul", "x", "x")], "no array of the file", {}),
    "a product of more than rows": (
        IMAGES,
        [node("MatMul", "x", "W")],
        "of other things than rows",
        {"W": KERNEL[0, 0]},
    ),
    "a bias that does not fit": (ROWS, [node("Gemm", "x", "W", "b")], "the bias does not fit", {"W": W, "b": GAINS}),
    "rows looked up along another axis": (ROWS, [node("Gather", "W", "x", axis=1)], "axis=0", {"W": W}),
    "flattened with the batch": (IMAGES, [node("Flatten", "x", axis=2)], "axis=1", {}),
    "a batch moved": (IMAGES, [node("Transpose", "x", perm=[1, 0, 2, 3])], "of the batch axis", {}),
    "a batch squeezed": (IMAGES, [node("Squeeze", "x", "a")], "of these axes", {"a": np.array([0])}),
    "batches joined": (ROWS, [node("Concat", "x", "x", axis=0)], "of batches", {}),
    "a cast to halves": (ROWS, [node("Cast", "x", to=10)], "float32 and float64", {}),
    "a dropout in training": (
        ROWS,
        [node("Dropout", "x", "r", "t")],
        "at inference",
        {"r": floats(0.5), "t": np.array(True)},
    ),
    "a difference of values": (ROWS, [node("Sub", "x", "x")], "of these values", {}),
    "a division by what is computed": (ROWS, [node("Div", "c", "x")], "divided by a number", {"c": floats(1)}),
    "a division by 0": (ROWS, [node("Div", "x", "c")], "divided by a number", {"c": floats(0)}),
    "a division of whole numbers": (ROWS, [node("Div", "x", "c")], "of whole numbers", {"c": np.array(2)}),
    "a sum with a row of the batch": (ROWS, [node("Add", "x", "c")], "more than one number", {"c": ROWS}),
    "a sum with NaN": (ROWS, [node("Add", "x", "c")], "holds NaN or Inf", {"c": ROWS[0] * np.float32(np.nan)}),
    "a number with more axes": (ROWS, [node("Mul", "x", "c")], "of more axes", {"c": floats([[[2]]])}),
    "two arrays": (ROWS, [node("Sum", "x", "c", "c")], "of several arrays", {"c": floats(1)}),
    "another form of GELU": (ROWS, [node("Gelu", "x", approximate="erf")], "in this form", {}),
    "a factor in Swish": (ROWS, [node("Swish", "x", alpha=2.0)], "with a factor", {}),
    "softmax along channels": (IMAGES, [node("Softmax", "x", axis=1)], "than the last", {}),
    "slopes for pixels": (IMAGES, [node("PRelu", "x", "a")], "with these slopes", {"a": IMAGES[0]}),
    "means of the batch": (
        ROWS,
        [node("BatchNormalization", "x", "g", "g", "g", "g", training_mode=1)],
        "in training",
        {"g": np.ones(6, F)},
    ),
    "a norm over the batch": (ROWS, [node("LayerNormalization", "x", "g", axis=0)], "over the batch", {"g": ROWS}),
    "groups that do not fit": (
        IMAGES,
        [node("GroupNormalization", "x", "g", "g", num_groups=3)],
        "share out",
        {"g": GAINS[:3]},
    ),
    "volumes": (
        RNG.standard_normal((2, 1, 4, 4, 4)),
        [node("MaxPool", "x", kernel_shape=[2, 2, 2])],
        "such a window",
        {},
    ),
    "a kernel of other channels": (
        IMAGES,
        [node("Conv", "x", "W")],
        "does not fit",
        {"W": KERNEL[:, :1]},
    ),
    "a kernel of another rank": (IMAGES, [node("Conv", "x", "W")], "images and sequences", {"W": LINE}),
    "padding of another name": (IMAGES, [node("Conv", "x", "W", auto_pad="WHICH")], "this padding", {"W": KERNEL}),
    "a global pool of sequences": (SEQUENCES, [node("GlobalMaxPool", "x")], "than images", {}),
    "a mean over channels": (IMAGES, [node("ReduceMean", "x", axes=[1])], "over these axes", {}),
    "pixels mixed": (
        IMAGES,
        [node("Resize", "x", "", "s", mode="linear")],
        "repeating pixels",
        {"s": floats([1, 1, 2, 2])},
    ),
    "half a pixel": (IMAGES, [node("Resize", "x", "", "s")], "by these factors", {"s": floats([1, 1, 1.5, 2])}),
    "a shape of what is computed": (
        ROWS,
        [node("Cast", "x", gives="c", to=7), node("Reshape", "x", "c")],
        "float32 and float64",
        {},
    ),
    "an axis that is missing": (IMAGES, [node("Squeeze", "x")], "axes is missing", {}),
    "an attribute of another type": (ROWS, [node("Elu", "x", alpha="much")], "of another type", {}),
    "no operands": (ROWS, [node("Relu", "x", gives="a"), node("Concat", axis=1)], "without operands", {}),
    "a shape that does not fit": (IMAGES, [node("Reshape", "x", "s")], "across the batch", {"s": np.array([0, 5])}),
    "a matrix of three axes": (ROWS, [node("Gemm", "x", "W")], "another number of axes", {"W": KERNEL[0]}),
    "a layer that refuses": (ROWS, [node("LeakyRelu", "x", alpha=2.0)], "the slope", {}),
    "axes that are not there": (ROWS, [node("Concat", "x", "x", axis=3)], "cannot be joined", {}),
    "too large a result": (
        IMAGES,
        [
            node("Resize", "x", "", "s", gives="a"),
            node("Resize", "a", "", "s", gives="b"),
            node("Resize", "b", "", "s"),
        ],
        "values of shape",
        {"s": floats([1, 1, 4096, 4096])},
    ),
    "numbers with features": (
        RNG.standard_normal(4),
        [node("PRelu", "x", "a")],
        "of single numbers",
        {"a": floats([1])},
    ),
    "pixels by themselves": (
        ROWS,
        [node("BatchNormalization", "x", "g", "g", "g", "g", spatial=0)],
        "for each pixel",
        {"g": np.ones(6, F)},
    ),
    "more than one number": (ROWS, [node("Clip", "x", "c", "c")], "more than one number", {"c": GAINS}),
    "a sum along with an array": (ROWS, [node("Concat", "x", "c", axis=1)], "no value of the network", {"c": ROWS}),
    "more operands than there are": (ROWS, [node("Relu", "x", "x")], "more operands than Relu has", {}),
    "an array that nobody reads": (ROWS, [node("Gemm", "x", "W", "b", "W")], "3 at most", {"W": W, "b": GAINS[:3]}),
    "a region that is computed": (
        IMAGES,
        [node("Resize", "x", "x", "s")],
        "operand 1 is no",
        {"s": floats([1, 1, 2, 2])},
    ),
    "factors and sizes": (
        IMAGES,
        [node("Resize", "x", "", "s", "t")],
        "factors, and sizes besides",
        {"s": floats([1, 1, 2, 3]), "t": np.array([4, 2, 12, 24])},
    ),
    "the shape of an array": (
        IMAGES,
        [node("Shape", "s", gives="a"), node("Reshape", "x", "a")],
        "no layer covers",
        {"s": IMAGES},
    ),
    "a shape with a gap": (
        IMAGES,
        [node("Shape", "x", gives="a"), node("Concat", "a", "", gives="b", axis=0), node("Reshape", "x", "b")],
        "no layer covers",
        {},
    ),
    "an array in the place of a value": (ROWS, [node("Relu", "c")], "works on arrays alone", {"c": GAINS}),
}


@pytest.mark.parametrize("name", UNCOVERED)
def test_what_is_not_covered_is_named(name: str, tmp_path: Path) -> None:
    x, nodes, message, arrays = UNCOVERED[name]
    path = written(tmp_path / "net.onnx", nodes, x, opset=24, **arrays)
    with pytest.raises(DataError) as caught:
        import_(path)
    assert "\n  where:" in str(caught.value)
    assert message in str(caught.value)
    assert f"({nodes[-1].op_type})" in str(caught.value) or "number 0" in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_operator_that_no_layer_covers_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", [helper.make_node("Sin", ["x"], ["y"], name="wave")], ROWS)
    for operator in ("Split", "Slice", "ConvTranspose"):
        other = written(tmp_path / "other.onnx", [node(operator, "x", "W")], IMAGES, W=KERNEL)
        with pytest.raises(DataError, match=rf"(?s)no layer covers.*\({operator}\).*got: +{operator}\n.*to_array"):
            import_(other)
    with pytest.raises(
        DataError, match=r"(?s)node 'wave' \(Sin\).*expected: Abs, Add, AveragePool, .*Upsample.*got: +Sin"
    ):
        import_(path)


# --- other people's cases: those that onnx carries, as files

WHOLE = ("pytorch-converted", "pytorch-operator")


def test_the_networks_of_pytorch_that_onnx_carries(tmp_path: Path) -> None:
    """Each is read and gives the stored numbers, or is refused with the node; most are read."""
    read = refused = 0
    for case in collect():
        if case.id.partition("/")[0] not in WHOLE:
            continue
        path = tmp_path / "case.onnx"
        path.write_bytes(case.model.SerializeToString())
        try:
            net: Any = import_(path)
        except DataError as error:
            assert "node" in str(error.where)
            refused += 1
            continue
        for inputs, outputs in case.read():
            if len({len(x) for x in inputs[: len(net.input_names)]}) > 1:
                continue  # ONNX repeats rows, a network has as many of each input
            ys = net.predict(*inputs[: len(net.input_names)])
            for y, expected in zip(ys if isinstance(ys, tuple) else (ys,), outputs, strict=True):
                np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-5)
        read += 1
    assert read >= 65
    assert refused < 50


def test_groups_with_gains_for_pixels_are_read_piece_by_piece(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", GROUPS, FOUR, **GROUP_ARRAYS, g=FOUR[0], h=FOUR[1])
    net: Any = import_(path)
    assert "GroupNorm" not in repr(net.layers[-1]) and "Rescale" in repr(net)
    np.testing.assert_allclose(net.predict(FOUR), run_onnx(path, FOUR)[0], rtol=1e-4, atol=1e-5)


def test_padding_that_never_wins_is_that_of_the_pool(tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", padded("MaxPool", **POOL), IMAGES, p=PADS, v=floats(-np.inf))
    net: Any = import_(path)
    assert len(net.layers) == 1
    np.testing.assert_array_equal(net.predict(IMAGES), run_onnx(path, IMAGES)[0])
